"""The rows behind Table 1, as a page to read and a CSV file that a spreadsheet can open, and the questions asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from laser.analysis.tables import View, integer, to_csv
from laser.io.files import read_parquet, write_text
from laser.report.files import Link, unique_slugs
from laser.report.render import render
from laser.report.shown import view_values
from laser.results.loading import load_cells, load_rows

if TYPE_CHECKING:
    import pandas

Names = tuple[str, str, str]
"""Model, dataset and protocol."""

QUESTION_COLUMNS = ["id", "group", "prompt", "answer", "options", "split_published", "split_corrected"]

FOLDER = "rows"
LISTED = 100
"""Largest number of rows that a page lists per outcome: the first in the dataset's order. The CSV has all rows."""

OUTCOMES = {
    "put-right": ("Put right", False, True),
    "spoilt": ("Spoilt", True, False),
    "right": ("Right with both", True, True),
    "wrong": ("Wrong with both", False, False),
}
"""Maps the outcome of a row to its heading, and whether base and LASER are right."""

_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*[=+\-@\t\r]")
"""Start of a formula. Some spreadsheets skip invisible characters and treat full-width signs like plain ones (NFKC)."""


def write_rows(
    folder: Path, study: Mapping[str, Any], tests: Sequence[Path], selections: Sequence[Path], rows: Sequence[Path]
) -> dict[Names, Link]:
    """Write `rows/<model>-<dataset>-<protocol>.html` and `.csv`: test examples with their questions and both outputs.

    The page lists the first rows of every outcome, the CSV file all rows. In the CSV file, texts that a spreadsheet
    would treat as a formula begin with an apostrophe (`spreadsheet_text`); the Parquet files keep them unchanged.

    Args:
        folder: folder of the report.
        study: the resolved study.
        tests: test/<model>/<dataset>.parquet.
        selections: selection/<model>/<dataset>.json of the same cells.
        rows: rows.parquet of the datasets.

    Returns:
        A link to the page of each cell.

    Raises:
        UserError: a file is missing or damaged, or the files do not belong together.
    """
    cells = load_cells(tests, selections, rows) if tests else []
    names = unique_slugs("-".join(cell.key) for cell in cells)
    prompts = {
        dataset: read_parquet(path, ["id", "prompt"]).set_index("id")["prompt"]
        for dataset, path in _by_dataset(rows).items()
        if any(cell.dataset == dataset for cell in cells)
    }
    links = {}
    for cell in cells:
        name = names["-".join(cell.key)]
        frame = cell.rows.drop(columns=["has_options", "options", "answer_in_prompt"])
        frame.insert(2, "prompt", frame["id"].map(prompts[cell.dataset]))
        write_text(folder / FOLDER / f"{name}.csv", to_csv(for_spreadsheets(frame)))
        about = f"Rows of {cell.model} on {cell.dataset}, {cell.protocol} protocol"
        page = render(
            "rows.html.j2",
            study=study,
            about=about,
            n=integer(len(frame)),
            outcomes=_outcomes(frame),
            files=[{"href": quote(f"{name}.csv"), "text": "CSV", "label": f"{about}, as CSV"}],
        )
        write_text(folder / FOLDER / f"{name}.html", page)
        links[cell.key] = {
            "href": quote(f"{FOLDER}/{name}.html"),
            "text": "Rows",
            "label": about,
        }
    return links


def _outcomes(frame: pandas.DataFrame) -> list[dict[str, Any]]:
    """Return what the page shows for each outcome, given a cell's rows with their prompts."""
    outcomes = []
    for identifier, (heading, base, laser) in OUTCOMES.items():
        part = frame[(frame["base_correct"] == base) & (frame["laser_correct"] == laser)]
        listed = part.head(LISTED)[["prompt", "answer", "base_prediction", "laser_prediction"]]
        title = f"{heading}: {integer(len(part))} of {integer(len(frame))}"
        if len(listed) < len(part):
            title += f", the first {integer(len(listed))}"
        texts = [[str(text) for text in row] for row in listed.itertuples(index=False)]
        view = View(identifier, title, ["Question", "Answer", "Base", "LASER"], texts, set(), [])
        shown = view_values(view, numeric=False) if texts else None
        outcomes.append({"id": identifier, "heading": heading, "count": integer(len(part)), "view": shown})
    return outcomes


def write_questions(folder: Path, rows: Sequence[Path]) -> dict[str, Link]:
    """Write `questions/<dataset>.csv`, the question and answer of every row id; return a link per dataset."""
    datasets = _by_dataset(rows)
    names, links = unique_slugs(datasets), {}
    for dataset, path in datasets.items():
        frame = read_parquet(path, QUESTION_COLUMNS)
        frame["options"] = [" | ".join(map(str, options)) for options in frame["options"]]
        write_text(folder / "questions" / f"{names[dataset]}.csv", to_csv(for_spreadsheets(frame)))
        links[dataset] = {"href": quote(f"questions/{names[dataset]}.csv"), "text": f"Questions of {dataset}"}
    return links


def _by_dataset(rows: Sequence[Path]) -> dict[str, Path]:
    """Return the rows.parquet of every dataset."""
    return {name: path for path in rows for name in load_rows([path])}


def for_spreadsheets(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Return the frame with every text made safe to open in a spreadsheet; numbers and flags stay as they are."""
    return frame.assign(
        **{name: frame[name].map(spreadsheet_text) for name in frame.columns if frame[name].dtype.kind not in "biuf"}
    )


def spreadsheet_text(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; remove NUL; keep other values."""
    if not isinstance(value, str):
        return value
    value = value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return f"'{value}" if _FORMULA.match(unicodedata.normalize("NFKC", value)) else value
