"""Views of tables as the page shows them: columns that are uninformative in this study are left out of the grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from laser.analysis.tables import View
from laser.report.files import Link, slug

METRICS = ("Metric", "Measure")
"""Columns that say what the numbers of a row measure: rows are sorted only within each of their values."""

MANY_COLUMNS = 11
"""A view with more columns is set in smaller type."""


def view_values(view: View, evidence: Sequence[Sequence[Link]] = (), numeric: bool = True) -> dict[str, Any]:
    """Return what the template `parts.html.j2` shows of a view.

    Columns that are blank in every row are left out and, if there are several rows, columns with a single value.

    Args:
        view: the whole view.
        evidence: links per row (`laser.report.evidence.evidence`).
        numeric: False for a view of sentences, in which brackets belong to the text.

    Returns:
        Among others the trimmed `view`; `constants`, name and value of columns that have the same value in every row;
        and `metrics`, per row what its numbers measure, empty if the view has no such column.
    """
    columns = [[row[column] for row in view.rows] for column in range(len(view.columns))]
    filled = [column for column, cells in enumerate(columns) if any(cells)]
    varied = [column for column in filled if len(set(columns[column])) > 1]
    # In a table of one row, or of equal rows, no column distinguishes rows.
    kept = varied or filled or list(range(len(columns)))
    position = {column: index for index, column in enumerate(kept)}
    trimmed = replace(
        view,
        columns=[view.columns[column] for column in kept],
        rows=[[row[column] for column in kept] for row in view.rows],
        bold={(row, position[column]) for row, column in view.bold if column in position},
    )
    return {
        "id": slug(view.name),
        "view": trimmed,
        "constants": [(view.columns[column], columns[column][0]) for column in filled if column not in kept],
        "metrics": next((columns[view.columns.index(name)] for name in METRICS if name in view.columns), []),
        "numeric": numeric,
        "dense": len(kept) > MANY_COLUMNS,
        "evidence": evidence,
    }


def unbroken(cell: str) -> list[str]:
    """Split a cell so that every second part is in brackets, such as an interval, and must not be broken over lines."""
    return re.split(r"((?<!\S)\[[^\[\]]*\](?!\S))", cell)
