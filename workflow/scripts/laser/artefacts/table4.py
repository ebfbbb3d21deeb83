"""Table 4: dataset sizes, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.inconsistencies import size_notes
from laser.analysis.tables import View, integer
from laser.config.artefacts import Artefact
from laser.paper.published import Published, read_published

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="table4",
    kind="table",
    title="Table 4",
    about="sizes of the datasets and of their splits",
    reads=("rows",),
    texts=("dataset", "paper_name"),
    resampled=False,
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return table4(study.datasets, read_published())


COLUMNS = (
    *("dataset", "size", "groups", "validation_published", "test_published", "validation_corrected", "test_corrected"),
    *("limit", "paper_name", "paper_size", "paper_validation", "paper_test", "difference"),
)
"""Columns of Table 4: counts of rows; `difference` is our size minus the paper's."""


def table4(
    datasets: Mapping[str, tuple[pd.DataFrame, Mapping[str, Any]]], published: Published | None = None
) -> pd.DataFrame:
    """Compute Table 4: the sizes of the prepared datasets and of both splits.

    Args:
        datasets: maps a dataset name to (prepared rows, entry), as `laser.results.loading.load_rows` returns it.
        published: the paper's sizes, or None.

    Returns:
        A frame with the columns `COLUMNS`.
    """
    published = published or Published()
    lines = []
    for name, (rows, entry) in datasets.items():
        paper = published.sizes(name) or {}
        counts = [
            int((rows[f"split_{protocol}"] == side).sum())
            for protocol in ("published", "corrected")
            for side in ("validation", "test")
        ]
        size = paper.get("size")
        lines.append(
            [name, len(rows), rows["group"].nunique(), *counts, entry.get("limit"), published.datasets.get(name, "")]
            + [size, paper.get("validation"), paper.get("test"), None if size is None else len(rows) - size]
        )
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys((c for c in COLUMNS if c not in ("dataset", "paper_name")), "Int64"))


def views(frame: pd.DataFrame) -> list[View]:
    """Return the view of Table 4, with a note on what the paper's own row counts can show."""
    columns = ["Dataset", "Size", "Groups", "Validation (published)", "Test (published)", "Validation (corrected)"]
    columns += ["Test (corrected)", "Paper: size", "Size − paper", "Limit"]
    keys = ["size", "groups", "validation_published", "test_published", "validation_corrected", "test_corrected"]
    keys += ["paper_size", "difference", "limit"]
    rows = [[row["dataset"], *(integer(row[key]) for key in keys)] for row in frame.to_dict("records")]
    notes = ["Groups are facts or questions whose rows stay on one side of the corrected split."]
    if frame["limit"].notna().any():
        notes.append("Limit: only so many rows were prepared; such a dataset is not compared with the paper.")
    if (frame["paper_name"] != "").any():
        notes += size_notes(read_published())
    return [View("table4", "Table 4. Dataset sizes, in rows", columns, rows, notes=notes)]
