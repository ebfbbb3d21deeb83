"""Compares a table's CSV with recomputed rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, close

Row = dict[str, Any]

TOLERANCE = 1e-12
"""Relative difference up to which two numbers count as equal: sums and matrix products may add in any order."""

ZERO = 1e-13
"""Absolute difference up to which two numbers count as equal, for differences of means that nearly cancel."""


def compare_table(
    check: Check, study: Study, path: str, expected: Sequence[Row], keys: Sequence[str], columns: Sequence[str]
) -> None:
    """Compare a CSV with computed rows, cell by cell.

    Args:
        check: receives the findings.
        study: the study.
        path: the CSV's path.
        expected: rows in the required order; None and NaN are empty cells.
        keys: columns that name a row in a finding.
        columns: the first columns that the table must have, in order.
    """
    header, rows = study.table(path)
    check.same(path, "columns", header[: len(columns)], list(columns))
    check.same(path, "number of rows", len(rows), len(expected))
    for line, (row, wanted) in enumerate(zip(rows, expected, strict=False), start=2):
        name = " / ".join(str(wanted.get(key, "")) for key in keys)
        for column in columns:
            if column in row and column in wanted:
                where, equal = f"line {line}, {name}, {column}", same_cell(row[column], wanted[column])
                check.holds(path, where, equal, row[column], shown(wanted[column]))


def same_cell(text: str, value: Any) -> bool:
    """Return True if the text of a CSV cell stands for the value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return text == ""
    if isinstance(value, float):
        try:
            return text.strip() == text and close(float(text), value, TOLERANCE, ZERO)
        except ValueError:
            return False
    return text == str(value)


def shown(value: Any) -> str:
    """Return a value as a finding shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "an empty cell"
    return str(value)
