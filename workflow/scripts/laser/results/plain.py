"""Tables as plain aligned text, for a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

NUMBER = re.compile(r"[+\-−]?[\d.,]+( ?%)?( \[.*\])?")


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: columns are two spaces apart, and columns of numbers are right-aligned."""
    if not rows:
        return []
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numbers = [all(NUMBER.fullmatch(cell) or not cell for cell in column[1:]) for column in columns]
    lines = []
    for row in (head, *rows):
        cells = zip(row, widths, numbers, strict=True)
        lines.append("  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells))
    return [line.rstrip() for line in lines]


def from_markdown(text: str) -> str:
    """Return Markdown as text for a terminal, with tables aligned and without escapes and heading marks."""
    lines: list[str] = []
    table: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append(cells(line))
            continue
        if table:
            rows = [row for row in table[1:] if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
            lines += aligned(table[0], rows)
            table = []
        lines.append(plain(re.sub(r"^#+ ", "", line)))
    return "\n".join(lines).strip()


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    return [plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def plain(text: str) -> str:
    """Return Markdown's text without its escapes, entities, emphasis and line breaks."""
    without = re.sub(r"<br ?/?>", " ", text)
    without = re.sub(r"(?<![\\*\w])(\*{1,2})(?=\S)(.+?)(?<=\S)\1(?![*\w])", r"\2", without)
    return html.unescape(re.sub(r"\\([\\`*_{}\[\]()#+.!|<>~$-])", r"\1", without))
