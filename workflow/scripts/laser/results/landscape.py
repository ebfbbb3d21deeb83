"""Reading landscapes: every kind of intervention at every matrix, layer and reduction, averaged over rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from laser.results.labelled import cell_of, columns_of
from laser.results.loading import mean_scores
from laser.errors import UserError

LABELS = ["protocol", "kind", "matrix", "layer", "rho"]
SCORES = ["correct", "loss", "answer_rank", "in_top5", "in_top10"]


def load_landscape(landscape: Sequence[Path], base: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one cell's landscape, and its base on the same rows.

    Args:
        landscape: layer<l>.parquet files of one model and dataset.
        base: base.parquet of the same cell; a landscape may hold fewer rows than it, and then base is averaged over
            those alone.

    Returns:
        Two frames as `laser.results.loading.load_sweep` returns them; the first has the column `kind` as well.

    Raises:
        UserError: a file belongs to another cell, an intervention was scored on other rows than the rest, or stands
            in two files.
    """
    model, dataset, _ = cell_of(base)
    parts: list[pd.DataFrame] = []
    asked: dict[str, set[str]] = {}
    for path in landscape:
        own_model, own_dataset, _ = cell_of(path)
        if (own_model, own_dataset) != (model, dataset):
            raise UserError(f"{path}: holds {own_model} on {own_dataset}, but {base} holds {model} on {dataset}.")
        frame = columns_of(path, [*LABELS, "id", *SCORES])
        for protocol, own in frame.groupby("protocol", sort=False):
            asked[str(protocol)] = _ids(path, str(protocol), own, asked)
        parts.append(mean_scores(frame, LABELS))
    if not parts:
        raise UserError(f"{base}: no landscape file was given for {model} on {dataset}. Give them, or run `landscape`.")
    swept = pd.concat(parts, ignore_index=True).astype({"layer": "int64", "rho": "float64"})
    if swept.duplicated(LABELS).any():
        raise UserError(
            f"{base}: an intervention of {model} on {dataset} stands in two landscape files. Give each once."
        )
    swept = swept.sort_values(LABELS, ignore_index=True)
    unedited = _base(base, asked)
    for frame in (unedited, swept):
        frame.insert(0, "model", model)
        frame.insert(1, "dataset", dataset)
    return swept, unedited


def _ids(path: Path, protocol: str, frame: pd.DataFrame, asked: dict[str, set[str]]) -> set[str]:
    """Return the ids of a file's rows under one protocol; they are the same for every intervention of every file."""
    ids = set(frame["id"])
    counts = frame.groupby(LABELS[1:], sort=False)["id"].agg(["size", "nunique"])
    if not (counts == len(ids)).all(axis=None) or asked.get(protocol, ids) != ids:
        raise UserError(
            f"{path}: protocol {protocol}: interventions of one landscape were scored on different rows. "
            "Delete the cell's landscape files and run again."
        )
    return ids


def _base(base: Path, asked: dict[str, set[str]]) -> pd.DataFrame:
    whole = columns_of(base, ["protocol", "id", *SCORES])
    kept = []
    for protocol, ids in asked.items():
        own = whole[(whole["protocol"] == protocol) & whole["id"].isin(ids)]
        if len(own) != len(ids):
            raise UserError(
                f"{base}: protocol {protocol} lacks {len(ids) - len(own)} of the landscape's {len(ids)} rows. "
                "Delete the cell's landscape files and run again."
            )
        kept.append(own)
    return mean_scores(pd.concat(kept), ["protocol"])
