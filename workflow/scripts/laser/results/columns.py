"""Types of the columns of per-example files, checked on reading: a wrong type would otherwise fail far from its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.errors import UserError
from laser.io.files import read_parquet

if TYPE_CHECKING:
    import pandas

FLAGS = ("correct", "in_top5", "in_top10", "answer_in_prompt")
WHOLE = ("answer_tokens", "layer")
WHOLE_OR_MISSING = ("answer_rank",)
"""Integer columns with missing values where the model overflowed."""
NUMBERS = ("loss", "logprob", "rho")
TEXTS = (
    *("id", "group", "answer", "prompt", "prediction", "protocol", "arm", "matrix"),
    *("split_published", "split_corrected"),
)
LISTS = ("options",)
SCORES = ("correct", "loss", "answer_rank", "in_top5", "in_top10")
"""Columns that are averaged over rows."""


def read_columns(path: Path, columns: Sequence[str]) -> pandas.DataFrame:
    """Read some columns of a Parquet file; the types of columns that are not named above are not checked.

    Raises:
        UserError: the file is missing or damaged, or a column is missing, there twice, or of another type.
    """
    frame = read_parquet(path, list(columns))
    for name in columns:
        wanted = _wanted(name, frame[name])
        if wanted:
            raise UserError(f"{path}: the column '{name}' does not hold {wanted}. Delete it and run again.")
    return frame


def _wanted(name: str, column: pandas.Series) -> str:
    """Describe what the column should hold if it does not; return an empty string if it does."""
    if name in FLAGS:
        return "" if column.dtype.kind == "b" else "true or false in every row"
    if name in WHOLE:
        return "" if column.dtype.kind in "iu" else "a whole number in every row"
    if name in WHOLE_OR_MISSING:
        return "" if _whole_or_missing(column) else "a whole number or nothing in every row"
    if name in NUMBERS:
        return "" if column.dtype.kind in "fiu" else "a number in every row"
    if name in TEXTS:
        return "" if _all_texts(column) else "a text in every row"
    if name in LISTS:
        return "" if all(map(_texts, column)) else "a list of texts in every row"
    return ""


def _whole_or_missing(column: pandas.Series) -> bool:
    known = column.dropna()
    return column.dtype.kind in "iu" or (column.dtype.kind == "f" and bool((known % 1 == 0).all()))


def _all_texts(column: pandas.Series) -> bool:
    # This dtype implies texts: checking every value of a large sweep would take minutes.
    if column.dtype == "str":
        return not column.isna().any()
    return all(isinstance(value, str) for value in column)


def _texts(value: Any) -> bool:
    return (
        hasattr(value, "__len__")
        and not isinstance(value, str | bytes)
        and all(isinstance(item, str) for item in value)
    )
