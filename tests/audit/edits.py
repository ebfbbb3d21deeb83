"""Edits of single files, for the tamper suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.audit.seal import write

Change = Callable[[Path], str]
"""Alters a study's folder and returns the file that a finding must name."""

CELL = "gpt-j-6b/worldfacts"
PAPERS = "gpt-j-6b/counterfact"


def frame(path: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Change:
    """Return a change of a Parquet file's rows that keeps its types and its spec."""

    def apply(folder: Path) -> str:
        table = pq.read_table(folder / path)
        rows = table.to_pandas()
        changed = change(rows)
        rows = rows if changed is None else changed
        made = pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False)
        made = made.replace_schema_metadata(table.schema.metadata)
        pq.write_table(made, folder / path, compression="zstd")
        return path

    return apply


def spec(path: str, change: Callable[[dict[str, Any]], None]) -> Change:
    """Return a change of the spec in a Parquet file's metadata."""

    def apply(folder: Path) -> str:
        table = pq.read_table(folder / path)
        held = json.loads(table.schema.metadata[b"laser_spec"])
        change(held)
        text = json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        pq.write_table(table.replace_schema_metadata({b"laser_spec": text.encode()}), folder / path, compression="zstd")
        return path

    return apply


def content(path: str, change: Callable[[dict[str, Any]], None], named: str = "") -> Change:
    """Return a change of a JSON file."""

    def apply(folder: Path) -> str:
        held = json.loads((folder / path).read_text())
        change(held)
        write(folder / path, held)
        return named or path

    return apply


def cell(path: str, line: int, column: str, value: str | Callable[[str], str]) -> Change:
    """Return a change of one cell of a CSV file; `line` counts data rows from 0."""

    def apply(folder: Path) -> str:
        read = pd.read_csv(folder / path, dtype=str, keep_default_na=False)
        old = read.loc[line, column]
        read.loc[line, column] = value(old) if callable(value) else value
        assert read.loc[line, column] != old
        read.to_csv(folder / path, index=False, lineterminator="\n")
        return path

    return apply


def text(path: str, old: str, new: str) -> Change:
    """Return a replacement of the first occurrence of a text."""

    def apply(folder: Path) -> str:
        before = (folder / path).read_bytes()
        assert old.encode() in before, f"{path} does not hold {old}"
        (folder / path).write_bytes(before.replace(old.encode(), new.encode(), 1))
        return path

    return apply


def gone(path: str) -> Change:
    """Return the removal of a file."""

    def apply(folder: Path) -> str:
        (folder / path).unlink()
        return path

    return apply


def flip(column: str, place: int = 0) -> Callable[[pd.DataFrame], None]:
    """Return the negation of one truth."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[place, column] = not rows.loc[place, column]

    return change


def add(column: str, amount: float, place: int = 0) -> Callable[[pd.DataFrame], None]:
    """Return an addition to one number."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[place, column] += amount

    return change


def put(column: str, value: object, place: int = 0) -> Callable[[pd.DataFrame], None]:
    """Return the replacement of one value."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[place, column] = value

    return change


def less_loss(rows: pd.DataFrame, amount: float, keep: pd.Series) -> None:
    """Lower the loss of some rows, with the log-probability to match."""
    rows.loc[keep, "logprob"] += amount * rows.loc[keep, "answer_tokens"]
    rows.loc[keep, "loss"] = -rows.loc[keep, "logprob"] / rows.loc[keep, "answer_tokens"]


def swapped(rows: pd.DataFrame) -> pd.DataFrame:
    """Exchange the two arms of a test file, in place and order of the file."""
    own = rows.assign(arm=rows["arm"].map({"base": "laser", "laser": "base"}))
    order = {"base": 0, "laser": 1}
    keys = pd.DataFrame(
        {"protocol": own["protocol"].map({"published": 0, "corrected": 1}), "arm": own["arm"].map(order)}
    )
    return own.loc[keys.sort_values(["protocol", "arm"], kind="stable").index].reset_index(drop=True)


def number(old: str) -> str:
    """Return a number a little larger."""
    return repr(float(old) + 0.001)
