"""Per-example result files with further label columns (choice, seed, variant, step), joined to prepared rows.

What a file holds is learned from the spec that it carries, never from its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from laser.errors import UserError, understood
from laser.results.cells import CellKey, PairedCell
from laser.results.columns import SCORES, read_columns
from laser.results.loading import cell_of, is_complete, is_partial, load_rows


@dataclass(frozen=True)
class Labelled:
    """Rows of one model on one dataset under one protocol, repeated for every value of the labels.

    Attributes:
        model, dataset, protocol: names as in the study.
        spec: spec that the file carries.
        frame: the label columns, id, group and the scores.
        entry: the dataset's entry, as prepared.
    """

    model: str
    dataset: str
    protocol: str
    spec: dict[str, Any]
    frame: pd.DataFrame
    entry: dict[str, Any]

    @property
    def key(self) -> CellKey:
        """Model, dataset and protocol."""
        return self.model, self.dataset, self.protocol

    @property
    def complete(self) -> bool:
        """True if the dataset was prepared in full."""
        return is_complete(self.entry)

    @property
    def partial(self) -> bool:
        """True if the dataset was read from a source that has only part of its rows."""
        return is_partial(self.entry)

    def arm(self, **labels: Any) -> pd.DataFrame:
        """Return the rows with these labels, indexed by id; empty if there are none."""
        keep = pd.Series(True, index=self.frame.index)
        for name, value in labels.items():
            keep &= self.frame[name] == value
        return self.frame[keep].set_index("id")


def load_labelled(
    paths: Iterable[Path],
    labels: Sequence[str],
    rows: Sequence[Path],
    side: str = "test",
    apart: Sequence[str] = (),
) -> list[Labelled]:
    """Read per-example results, a `Labelled` per file and protocol, in the files' order.

    Args:
        paths: result files.
        labels: names of their label columns.
        rows: rows.parquet of the datasets.
        side: side of the split, `test` or `validation`.
        apart: labels whose values may have different rows; for fixed values of these, all other labels share the rows.

    Raises:
        UserError: a file has rows from the other side of the split, or its labels were scored on different rows.
    """
    prepared = load_rows(rows)
    results = []
    for path in paths:
        with understood(path):
            model, dataset, spec = cell_of(path)
            if dataset not in prepared:
                raise UserError(f"{path}: the prepared rows of {dataset} were not given. Have: {', '.join(prepared)}.")
            examples, entry = prepared[dataset]
            frame = read_columns(path, ["protocol", *labels, "id", *SCORES])
            for protocol in dict.fromkeys(frame["protocol"]):
                groups = examples.loc[examples[f"split_{protocol}"] == side].set_index("id")["group"]
                scored = frame[frame["protocol"] == protocol].drop(columns="protocol")
                _strangers(path, protocol, scored, groups, side)
                parts = [part for _, part in scored.groupby(list(apart), sort=False)] if apart else [scored]
                for part in parts:
                    _same_rows(path, protocol, part, list(labels))
                scored = scored.assign(group=scored["id"].map(groups)).reset_index(drop=True)
                results.append(Labelled(model, dataset, protocol, spec, scored, dict(entry)))
    return results


def _strangers(path: Path, protocol: str, frame: pd.DataFrame, groups: pd.Series, side: str) -> None:
    strangers = int((~frame["id"].isin(groups.index)).sum())
    if strangers:
        raise UserError(
            f"{path}: protocol {protocol} holds {strangers} rows that are not {side} rows of the split. "
            "Delete it and run again."
        )


def _same_rows(path: Path, protocol: str, frame: pd.DataFrame, labels: list[str]) -> None:
    wanted = set(frame["id"])
    for name, part in frame.groupby(labels, sort=False, dropna=False):
        if len(part) != len(wanted) or set(part["id"]) != wanted:
            raise UserError(
                f"{path}: protocol {protocol}, {dict(zip(labels, name, strict=True))} was scored on other rows than "
                "the rest of the file. Delete it and run again."
            )


def by_cell(results: Iterable[Labelled]) -> dict[CellKey, Labelled]:
    """Return the results by (model, dataset, protocol)."""
    return {result.key: result for result in results}


def choices_of(result: Labelled) -> dict[str, Mapping[str, Any] | None]:
    """Return the interventions that a file of choices was made for, by name of the choice; None is base."""
    return dict(result.spec.get("choices", {}).get(result.protocol, {}))


def aligned(cell: PairedCell, other: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return `other`, indexed by id, in the order of a cell's rows.

    Raises:
        UserError: `other` has different rows from the test file.
    """
    if set(other.index) != set(cell.rows["id"]):
        raise UserError(
            f"{what} of {cell.model} on {cell.dataset}, protocol {cell.protocol}, was scored on other rows than the "
            "test file. Delete it and run again."
        )
    return other.loc[cell.rows["id"]]
