"""The rounded tables for reading (Markdown, LaTeX): that both say the same, and nothing that the CSV does not say."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from laser_audit.findings import Check
from laser_audit.reading import Study

Table = list[list[str]]

NUMBER = re.compile(r"(?<![\w.])[+−-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")
NAMES = ("model", "dataset", "measure", "variant", "hyperparameter")
"""Columns of a CSV whose words say which of its rows a line for reading is about."""

LONGEST_CELL = 80
"""Cells with more characters are sentences, whose numbers are not results."""

TEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"$-$": "−",
    r"$\rho$": "ρ",
    r"$\tau$": "τ",
    r"$\ell$": "ℓ",
    r"$\leq$": "≤",
    r"$\geq$": "≥",
    r"$\neq$": "≠",
    r"$\approx$": "≈",
    r"$\infty$": "∞",
    **{rf"\{mark}": mark for mark in "&%$#_{}"},
}
_TEX = re.compile("|".join(re.escape(one) for one in sorted(TEX, key=len, reverse=True)))


def markdown_tables(text: str) -> list[Table]:
    """Return the tables of a Markdown file: rows of plain cells, the head first."""
    tables: list[Table] = []
    inside = False
    for line in text.split("\n"):
        if not (line.startswith("| ") and line.endswith(" |")):
            inside = False
            continue
        cells = re.split(r"(?<!\\) \| ", line[2:-2]) if len(line) > 3 else []
        if not inside:
            tables.append([])
            inside = True
        if all(cell == "---" for cell in cells):
            continue
        tables[-1].append([_plain_markdown(cell) for cell in cells])
    return tables


def _plain_markdown(cell: str) -> str:
    if cell.startswith("**") and cell.endswith("**") and len(cell) > 4:
        cell = cell[2:-2]
    return re.sub(r"\\([\\|*_`<>\[\]])", r"\1", cell)


def latex_tables(text: str) -> list[Table]:
    """Return the tables of a LaTeX file, in the same form; one that is continued, whole, if its heads are the same."""
    tables: list[Table] = []
    found = r"^(% continued\n)?\\begin\{table\}\n.*?\\toprule\n(.*?)\\bottomrule"
    for continued, body in re.findall(found, text, re.S | re.M):
        rows = [line for line in body.split("\n") if line and line != r"\midrule"]
        cells = [[_plain_latex(cell) for cell in re.split(r"(?<!\\) & ", _ended(line))] for line in rows]
        if continued and tables and cells[:1] == tables[-1][:1]:
            tables[-1] += cells[1:]
        else:
            tables.append(cells)
    return tables


def _ended(line: str) -> str:
    return line.removesuffix(r" \\")


def _plain_latex(cell: str) -> str:
    if cell.startswith(r"\textbf{") and cell.endswith("}"):
        cell = cell[len(r"\textbf{") : -1]
    if cell.startswith("{[") and cell.endswith("}"):
        cell = cell[1:-1]
    return _TEX.sub(lambda match: TEX[match[0]], cell)


def check_rendered(check: Check, study: Study) -> None:
    """Hold each table's Markdown and LaTeX against each other and against its CSV."""
    for path in study.matching("tables/", ".md"):
        name = path.removesuffix(".md")
        with check.guarded(path):
            shown, set_in_latex = markdown_tables(study.text(path)), latex_tables(study.text(f"{name}.tex"))
            check.same(path, "number of tables, and in LaTeX", len(shown), len(set_in_latex))
            for number, (one, other) in enumerate(zip(shown, set_in_latex, strict=False)):
                check.same(f"{name}.tex", f"table {number}, rows", len(other), len(one))
                for row, (cells, latex) in enumerate(zip(one, other, strict=False)):
                    for column, (cell, tex) in enumerate(zip(cells, latex, strict=False)):
                        check.same(
                            f"{name}.tex", f"table {number}, row {row}, column {column}", _spaced(tex), _spaced(cell)
                        )
                    check.same(f"{name}.tex", f"table {number}, row {row}, columns", len(latex), len(cells))
        with check.guarded(path):
            _against_csv(check, study, path, shown)


def _spaced(text: str) -> str:
    """Return a cell as both forms have it: no control characters, and characters beyond ASCII by number, as in U+4EAC.

    LaTeX names those that it cannot set.
    """
    flat = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)
    return re.sub(r"[^ -~]", lambda one: f"U+{ord(one[0]):04X}", flat).strip()


def _against_csv(check: Check, study: Study, path: str, tables: Sequence[Table]) -> None:
    """Look for every number of a row among the numbers of those rows of the CSV that its words name."""
    name = path.removesuffix(".md")
    header, rows = study.table(f"{name}.csv")
    columns = [one for one in NAMES if one in header]
    words = [(set(row[one] for one in columns), numbers_of(row.values())) for row in rows]
    known = {one for texts, _ in words for one in texts} - {""}
    lines = 0
    for number, table in enumerate(tables):
        for place, cells in enumerate(table[1:], start=1):
            named = [cell for cell in cells if cell in known]
            about = [place for place, (texts, _) in enumerate(words) if all(one in texts for one in named)]
            own = [words[place][1] for place in about]
            counted = {float(len([row for row in rows if row.get("verdict") == cells[0]]))}
            if name == "tables/stability":  # which has a row of its CSV for each different choice
                counted |= {float(count) for count in Counter(rows[place].get("protocol") for place in about).values()}
            lines += 1
            for cell in cells:
                if cell in known or len(cell) > LONGEST_CELL:
                    continue
                for text in NUMBER.findall(cell):
                    check.count += 1
                    reads = _is_below if cell == f"<{text}" else _rounds_to
                    if not any(reads(value, text) for values in (*own, counted) for value in values):
                        where = f"table {number}, row {place} ({', '.join(named)})"
                        check.fail(path, where, text, "a rounded number of its rows in the CSV")
    if rows and not lines:
        check.fail(path, "", "no row", f"the {len(rows)} rows of the CSV")


def numbers_of(texts: Iterable[str]) -> set[float]:
    """Return every number that stands in some cells, in words too."""
    found = set()
    for text in texts:
        for one in NUMBER.findall(text):
            value = float(one.replace("−", "-"))
            if math.isfinite(value):
                found |= {value, 100 * value, value / 1e6, value / 1e9}
    return found


def _is_below(value: float, text: str) -> bool:
    """Whether a number is one that `<0.001` stands for."""
    return 0 <= value < float(text)


def _rounds_to(value: float, text: str) -> bool:
    """Whether a number, rounded to as many places as a text has, reads like it."""
    digits = text.lstrip("+−-")
    places = len(digits.partition(".")[2]) if "e" not in digits else 0
    if "e" in digits:
        return math.isclose(abs(value), float(digits), rel_tol=1e-5)
    signed = -float(digits) if text[0] in "−-" else float(digits)
    return (
        f"{value:.{places}f}" in (f"{signed:.{places}f}", f"-{digits}" if signed == 0 else "")
        or (text[0] not in "+−-" and abs(value - signed) <= 0.5 * 10.0**-places * (1 + 1e-9))
        or f"{value:g}" == digits
    )
