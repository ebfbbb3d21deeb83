"""Writing tables: CSV with full precision for machines, Markdown and LaTeX (booktabs) for people."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.errors import UserError
from laser.io.files import write_text
from laser.paper.published import read_published

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class View:
    """A rounded table for reading.

    Attributes:
        name: name that distinguishes the views of one table.
        title: heading and caption.
        columns: column heads.
        rows: cells as plain text, a list per row.
        bold: (row, column) of the cells in bold.
        notes: sentences below the table.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    bold: set[tuple[int, int]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def number(value: Any, places: int, sign: bool = False) -> str:
    """Format a rounded number with a true minus sign; return an empty string for a missing value."""
    if value is None or value != value:
        return ""
    text = f"{float(value):{'+' if sign else ''}.{places}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def integer(value: Any) -> str:
    """Format a whole number; return an empty string for a missing value."""
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in {"<NA>", ""}
    return "" if missing else str(int(value)).replace("-", "−")


def measure(metric: object) -> str:
    """Format a metric of language models with its unit."""
    return "accuracy, %" if metric == "accuracy" else "loss, nats"


def p_value(value: Any) -> str:
    """Format a p value with three decimals, `<0.001` below that; return an empty string for a missing value."""
    if value is None or value != value:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


DELETED = "rank 0: the whole matrix is removed"


def intervention(matrix: Any, layer: Any, rho: Any, kept_rank: Any = None) -> str:
    """Format an intervention as in Table 3, `[matrix, layer, ρ]`, or `base` if there is none.

    If the kept rank is known to be 0, which is a deletion rather than a low rank, a remark says so.
    """
    if not isinstance(matrix, str) or not matrix:
        return "base"
    place = f"[{matrix}, {int(layer)}, {rho:g}]"
    return f"{place} ({DELETED})" if integer(kept_rank) == "0" else place


def to_csv(frame: pandas.DataFrame) -> str:
    """Return a frame as CSV; floats keep every digit that distinguishes them."""
    # pandas quotes a cell that contains a character of the line terminator. With both characters in the terminator, a
    # cell with only a carriage return is quoted too.
    return _LINE_END.sub(lambda match: match[1] or "\n", frame.to_csv(index=False, lineterminator="\r\n"))


_LINE_END = re.compile(r'("(?:[^"]|"")*")|\r\n')
"""Pattern of a quoted cell, or of the end of a line."""


def read_table(path: Path | str, texts: Sequence[str]) -> pandas.DataFrame:
    """Read a table's CSV back: text columns keep empty texts, and numbers are read exactly.

    Args:
        path: the CSV.
        texts: names of the text columns (`laser.config.artefacts.Artefact.texts`); other columns may be missing.

    Raises:
        UserError: the file is missing or is not such a CSV.
    """
    import pandas as pd

    try:
        head = pd.read_csv(path, nrows=0)
        known = [name for name in texts if name in head.columns]
        frame = pd.read_csv(path, dtype=dict.fromkeys(known, str), float_precision="round_trip", encoding="utf-8")
        return frame.assign(**{name: frame[name].fillna("") for name in known})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: cannot be read as a table ({error}). Delete it and run again.") from error


def to_markdown(view: View) -> str:
    """Return a view as a GitHub-flavoured Markdown table under its title."""
    lines = [f"### {_markdown(view.title)}", "", _markdown_row(_markdown(name) for name in view.columns)]
    lines.append(_markdown_row("---" for _ in view.columns))
    for i, row in enumerate(view.rows):
        cells = [_markdown(cell) for cell in row]
        lines.append(_markdown_row(f"**{c}**" if (i, j) in view.bold and c else c for j, c in enumerate(cells)))
    lines += [line for note in view.notes for line in ("", _markdown(note))]
    return "\n".join(lines) + "\n"


LATEX_ROWS = 50
"""Largest number of rows of one LaTeX table: a float cannot break over pages, so a longer table is split."""


def to_latex(view: View) -> str:
    """Return a view as LaTeX tables (packages booktabs and graphicx), every cell escaped.

    A table is shrunk to fit the line width and three quarters of the page. A table of more than `LATEX_ROWS` rows is
    split into several of about equal length; a comment marks the continuations.
    """
    body = []
    for i, row in enumerate(view.rows):
        cells = [latex_escape(cell) for cell in row]
        body.append(" & ".join(rf"\textbf{{{c}}}" if (i, j) in view.bold and c else c for j, c in enumerate(cells)))
    count = max(1, math.ceil(len(body) / LATEX_ROWS))
    bounds = [len(body) * part // count for part in range(count + 1)]
    pairs = enumerate(itertools.pairwise(bounds))
    return "\n".join(_latex_table(view, body[first:last], part) for part, (first, last) in pairs)


def _latex_table(view: View, body: Sequence[str], part: int) -> str:
    """Return one part of a view as a LaTeX table; parts are counted from 0, and the first has the notes."""
    heads = " & ".join(latex_escape(name) for name in view.columns)
    notes = " ".join(latex_escape(note) for note in view.notes)
    caption = latex_escape(view.title) + (" (continued)" if part else f". {notes}" if notes else "")
    label = "tab:" + re.sub("[^A-Za-z0-9]+", "-", view.name) + (f"-{part + 1}" if part else "")
    return "\n".join(
        [
            *([r"% continued"] if part else []),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            r"\sbox0{%",
            rf"\begin{{tabular}}{{{'l' * len(view.columns)}}}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *(line + r" \\" for line in body),
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\ifdim\wd0>\linewidth\sbox0{\resizebox{\linewidth}{!}{\usebox0}}\fi",
            r"\ifdim\dimexpr\ht0+\dp0\relax>0.75\textheight\sbox0{\resizebox*{!}{0.75\textheight}{\usebox0}}\fi",
            r"\usebox0",
            r"\end{table}",
            "",
        ]
    )


def mark_parts(views: Sequence[View], frame: pandas.DataFrame, parts: Mapping[str, str]) -> list[View]:
    """Return the views of a table, each with a note that names datasets for which only part of the rows was available.

    Args:
        views: views of the table.
        frame: the table; its column `dataset` names datasets.
        parts: maps a dataset to the reason why it is only a part.
    """
    here = [name for name in parts if "dataset" in frame and (frame["dataset"] == name).any()]
    papers = read_published().datasets if here else {}
    notes = [
        f"{what}: {'; '.join(f'{name} ({parts[name]})' for name in names)}."
        for what, names in (
            ("Part of the paper's rows", [name for name in here if name in papers]),
            ("Part of the rows", [name for name in here if name not in papers]),
        )
        if names
    ]
    return [replace(view, notes=[*view.notes, *notes]) for view in views]


def mark_quantised(views: Sequence[View], frame: pandas.DataFrame, quantised: Mapping[str, str]) -> list[View]:
    """Return the views of a table, each with a note that names models whose weights had been quantised before.

    Args:
        views: views of the table.
        frame: the table; its column `model` names models (`run_model` if `model` has the paper's names).
        quantised: maps a model to how it was quantised.
    """
    columns = [column for column in ("model", "run_model") if column in frame]
    here = [name for name in quantised if any((frame[column] == name).any() for column in columns)]
    if not here:
        return list(views)
    note = f"Weights quantised before they came here: {'; '.join(f'{name} ({quantised[name]})' for name in here)}."
    return [replace(view, notes=[*view.notes, note]) for view in views]


def write_table(folder: Path | str, name: str, frame: pandas.DataFrame, views: Sequence[View]) -> list[Path]:
    """Write `<name>.csv`, `<name>.md` and `<name>.tex` atomically; return the three paths."""
    folder = Path(folder)
    texts = {
        folder / f"{name}.csv": to_csv(frame),
        folder / f"{name}.md": "\n".join(to_markdown(view) for view in views),
        folder / f"{name}.tex": "\n".join(to_latex(view) for view in views),
    }
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": r"$-$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
    "ℓ": r"$\ell$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
}
_LATEX_KNOWS = frozenset(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x180)))) - frozenset("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
"""Characters that pdflatex sets without a package; a model can generate any other."""


def latex_escape(text: str) -> str:
    """Escape a text for LaTeX; control characters become spaces, unsupported ones their code points: U+4EAC."""
    flat = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)
    flat = "".join(map(_latex_character, flat))
    # LaTeX would read a bracket at the start of a row as the optional argument of the line break before it.
    return "{" + flat + "}" if flat.startswith("[") else flat


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    return character if character in _LATEX_KNOWS or character in "–—‘’“”…→←·×•€" else f"U+{ord(character):04X}"


def _markdown(text: str) -> str:
    flat = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", flat)


def _markdown_row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"
