"""Averages over validation rows for every intervention of a sweep or landscape, and for the base model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from laser.errors import UserError
from laser.results.columns import SCORES, read_columns
from laser.results.loading import cell_of

SWEEP = ("protocol", "matrix", "layer", "rho")
LANDSCAPE = ("protocol", "kind", "matrix", "layer", "rho")
"""Label columns of a landscape's rows. A sweep lacks `kind`, since it has interventions of only one kind."""



def load_sweep(sweep: Sequence[Path], base: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one cell's sweep (layer<l>/rho<rho>.parquet) and its base, scored on the same rows.

    Returns:
        Two frames with n, accuracy, top5, top10, first_top1, first_top5, first_top10 (percent) and loss (nats), the
        first per protocol, matrix, layer and rho, the second per protocol; both with model and dataset. `top<k>` is
        whether the whole answer is among the k most probable tokens, `first_top<k>` whether its first token is.

    Raises:
        UserError: a file belongs to another cell, was scored on other rows, or repeats an intervention.
    """
    return _load(sweep, base, SWEEP, "sweep")


def load_landscape(landscape: Sequence[Path], base: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one cell's landscape (layer<l>.parquet) and its base; see `load_sweep`.

    The first frame also has the column `kind`. A landscape may have fewer rows than base, which is then averaged over
    only those rows.
    """
    return _load(landscape, base, LANDSCAPE, "landscape")


def _load(paths: Sequence[Path], base: Path, labels: Sequence[str], rule: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    model, dataset, _ = cell_of(base)
    unedited = read_columns(base, ["protocol", "id", *SCORES])
    scored: dict[str, set[str]] = {}
    if rule == "sweep":
        scored = {str(protocol): set(rows) for protocol, rows in unedited.groupby("protocol")["id"]}
    parts = []
    for path in paths:
        if (held := cell_of(path)[:2]) != (model, dataset):
            raise UserError(
                f"{path}: holds {held[0]} on {held[1]}, but {base} holds {model} on {dataset}. Delete and rerun."
            )
        frame = read_columns(path, [*labels, "id", *SCORES])
        part = mean_scores(frame, list(labels))
        _check_rows(path, frame, part, scored, base)
        parts.append(part.drop(columns="rows"))
    if not parts:
        raise UserError(f"{base}: no {rule} file was given for {model} on {dataset}. Give them, or run `{rule}`.")
    swept = pd.concat(parts, ignore_index=True).astype({"layer": "int64", "rho": "float64"})
    if swept.duplicated(list(labels)).any():
        raise UserError(f"{base}: an intervention of {model} on {dataset} is in two {rule} files. Give each once.")
    swept = swept.sort_values(list(labels), ignore_index=True)
    reference = mean_scores(_base_rows(base, unedited, scored), ["protocol"]).drop(columns="rows")
    for averages in (reference, swept):
        averages.insert(0, "model", model)
        averages.insert(1, "dataset", dataset)
    return swept, reference


def _check_rows(
    path: Path, frame: pd.DataFrame, averages: pd.DataFrame, scored: dict[str, set[str]], base: Path
) -> None:
    """Reject a file whose interventions were scored on other rows than the rest; record the rows of the first file."""
    for protocol, ids in frame.groupby("protocol")["id"]:
        rows = set(ids)
        counts = averages.loc[averages["protocol"] == protocol, ["n", "rows"]]
        if scored.setdefault(str(protocol), rows) != rows or not (counts == len(rows)).all(axis=None):
            raise UserError(
                f"{path}: protocol {protocol} was scored on other validation rows than {base} or the cell's other "
                "interventions. Delete and rerun."
            )


def _base_rows(base: Path, unedited: pd.DataFrame, scored: dict[str, set[str]]) -> pd.DataFrame:
    """Return the rows of base that were scored, in the file's order, since a mean's last digit depends on the order."""
    kept = pd.Series(False, index=unedited.index)
    for protocol, ids in scored.items():
        rows = (unedited["protocol"] == protocol) & unedited["id"].isin(ids)
        if rows.sum() != len(ids):
            raise UserError(
                f"{base}: protocol {protocol} lacks {len(ids) - rows.sum()} of the {len(ids)} rows of the cell's other "
                "files. Delete them and run again."
            )
        kept |= rows
    return unedited[kept]


def mean_scores(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average per-example rows over `keys`; `n` counts distinct examples, `rows` all rows (columns: `load_sweep`).

    The loss is NaN if any row lacks one: a mean over the other rows would not be comparable between interventions.
    """
    tops = {f"first_top{k}": frame["answer_rank"] <= k for k in (1, 5, 10)}
    losses = frame["loss"].where(np.isfinite(frame["loss"]), math.inf)
    grouped = frame.assign(loss=losses, **tops).groupby(keys, sort=True, observed=True)
    table = grouped.agg(
        n=("id", "nunique"),
        rows=("id", "size"),
        accuracy=("correct", "mean"),
        loss=("loss", "mean"),
        top5=("in_top5", "mean"),
        top10=("in_top10", "mean"),
        **{name: (name, "mean") for name in tops},
    ).reset_index()
    table["loss"] = table["loss"].replace(math.inf, math.nan)
    table[["accuracy", "top5", "top10", *tops]] *= 100
    return table
