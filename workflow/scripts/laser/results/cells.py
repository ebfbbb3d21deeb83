"""One cell of Table 1: a model on a dataset under one protocol, base and LASER on the same held-out rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from laser.tasks.example import labels_of

if TYPE_CHECKING:
    import pandas

METRICS = ("accuracy", "loss")
POLICY_METRICS = ("accuracy", "return", "loss")
"""Metrics of policies: rooms solved, the return of the episode, and the loss on the expert's moves."""
ARMS = ("base", "laser")
NO_INTERVENTION: Mapping[str, Any] = {"matrix": "", "layer": None, "rho": math.nan}
"""Values of a table's intervention columns if the base model was chosen."""

CellKey = tuple[str, str, str]


@dataclass(frozen=True)
class PairedCell:
    """Per-example results of base and LASER, paired by row.

    Attributes:
        model, dataset: names as in the study.
        protocol: `published` or `corrected`.
        rows: one row per test example: id, group, answer (text), has_options (bool), options (tuple of texts),
            answer_in_prompt (bool), and for each arm `<arm>_correct` (bool), `<arm>_loss` (float64, nats per answer
            token), `<arm>_prediction` (text), `<arm>_answer_rank` (int), `<arm>_in_top5`, `<arm>_in_top10` (bool); for
            a policy also `<arm>_return` (float64, points) and `<arm>_steps` (int).
        chosen: matrix, layer, rho, kept_rank of the selected intervention; None if the base model was chosen, in which
            case the LASER columns repeat the base columns.
        dtype: precision in which the model was run: `fp32`, `fp16` or `bf16`.
        complete: True if the dataset was prepared in full; a truncated dataset is never compared with the paper.
        partial: True if the dataset was read from a source that has only part of its rows.
        left_out: number of test rows of the split that are not in `rows`, because the model could not be asked them.
    """

    model: str
    dataset: str
    protocol: str
    rows: pandas.DataFrame
    chosen: dict[str, Any] | None
    dtype: str
    complete: bool = True
    partial: bool = False
    left_out: int = 0

    @property
    def key(self) -> CellKey:
        """Model, dataset and protocol."""
        return self.model, self.dataset, self.protocol


def option_labels(rows: pandas.DataFrame, column: str) -> list[str]:
    """Return the answers in a column of a cell's rows, as `laser.tasks.example.labels_of` labels them."""
    texts = [str(text) for text in rows[column]]
    return labels_of(texts, list(rows["options"])) if "options" in rows.columns else texts


def intervention_labels(chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an intervention's matrix, layer, rho and kept rank as table columns; empty for the base model (None)."""
    intervention = {key: (chosen or NO_INTERVENTION)[key] for key in NO_INTERVENTION}
    return intervention | {"kept_rank": (chosen or {}).get("kept_rank")}


def values(cell: PairedCell, metric: str, arm: str) -> Any:
    """Return (n,) float64: percent per row (0 or 100) for accuracy, nats for loss, points for return."""
    if metric == "accuracy":
        return cell.rows[f"{arm}_correct"].to_numpy(dtype="float64") * 100
    return cell.rows[f"{arm}_{metric}"].to_numpy(dtype="float64")


def same_intervention(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> bool:
    """Return True if both are the same matrix, layer and ρ, or both mean the base model (None)."""
    if first is None or second is None:
        return first is second
    return all(first[key] == second[key] for key in NO_INTERVENTION)
