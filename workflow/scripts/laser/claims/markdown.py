"""Markdown helpers shared by the replication page and the pages of evidence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def table_head(columns: Sequence[str]) -> list[str]:
    """Return the two lines that begin a Markdown table."""
    return [table_row(columns), table_row(["---"] * len(columns))]


def relative(path: Path, folder: Path) -> str:
    """Return a path as a link target relative to `folder`."""
    return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()


def joined(parts: Sequence[str]) -> str:
    """Join words or phrases with commas and a final `and`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
