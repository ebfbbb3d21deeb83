"""The choice of one cell's intervention, from validation rows only.

Rule (arXiv 2312.13558 E.1 and the released search): the highest validation accuracy wins. Ties go to the lower
validation log-loss, then to the first in a fixed order: later layers first, matrices in the grid's order, smaller ρ
first. The mean loss is null if the model overflows on a row (which counts as wrong); such an intervention comes last.
Under `corrected`, LASER is chosen only if its validation accuracy is above base's, or equal with a lower log-loss; an
intervention that overflows is never chosen.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from laser.config.protocols import PROTOCOLS
from laser.errors import UserError

RULE = (
    "highest validation accuracy; ties: lower validation log-loss, then later layer, then the grid's order of "
    "matrices, then smaller rho; corrected: the base model is a candidate too and wins ties"
)


def candidates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy (percent), loss (nats) and n per (protocol, matrix, layer, rho) of per-example rows."""
    keys = ["protocol", "matrix", "layer", "rho"]
    grouped = frame.assign(loss=_losses(frame)).groupby(keys, sort=True, observed=True)
    table = grouped.agg(accuracy=("correct", "mean"), loss=("loss", "mean"), n=("id", "nunique")).reset_index()
    table["accuracy"] *= 100
    return table


def _losses(frame: pd.DataFrame) -> pd.Series:
    """Return the losses with gaps set to infinity: a mean would skip the gaps and cover only the other rows."""
    return frame["loss"].astype("float64").fillna(math.inf)


def select(
    base: pd.DataFrame, swept: pd.DataFrame, matrices: list[str], kept: dict[tuple[str, int, float], int]
) -> dict[str, Any]:
    """Choose an intervention per protocol.

    Args:
        base: per-example validation rows of the base model, with `protocol`.
        swept: per-example validation rows of all interventions, with `protocol`, `matrix`, `layer`, `rho`.
        matrices: the grid's order of matrices.
        kept: kept rank by (matrix, layer, rho).

    Returns:
        Per protocol: `chosen` (None if base won), `validation` scores of base and chosen, and all `candidates`.

    Raises:
        UserError: an intervention was scored on a different number of rows than base.
    """
    result: dict[str, Any] = {}
    table = candidates(swept)
    for protocol in sorted(base["protocol"].unique()):
        rows = base[base["protocol"] == protocol]
        averages = table[table["protocol"] == protocol]
        reference = {
            "accuracy": 100 * float(rows["correct"].mean()),
            "loss": float(_losses(rows).mean()),
            "n": len(rows),
        }
        if not (averages["n"] == reference["n"]).all():
            raise UserError(
                f"protocol {protocol}: an intervention was scored on another number of validation rows than base "
                f"({reference['n']}). Delete the sweep files of this cell and run again."
            )
        ordered = sorted(
            averages.to_dict("records"),
            key=lambda candidate: (
                *(
                    not math.isfinite(candidate["loss"]),
                    -candidate["accuracy"],
                    candidate["loss"] if math.isfinite(candidate["loss"]) else 0,
                ),
                *(-candidate["layer"], matrices.index(candidate["matrix"]), candidate["rho"]),
            ),
        )
        best = ordered[0]
        better = (best["accuracy"], -best["loss"]) > (reference["accuracy"], -reference["loss"])
        wins = math.isfinite(best["loss"]) and better
        taken = best if wins or not PROTOCOLS[protocol].base_is_candidate else None
        result[protocol] = {
            "chosen": None if taken is None else _identity(taken, kept),
            "validation": {"base": _scores(reference), "chosen": _scores(taken or reference)},
            "candidates": [_identity(candidate, kept) | _scores(candidate) for candidate in ordered],
        }
    return result


def _identity(candidate: dict[str, Any], kept: dict[tuple[str, int, float], int]) -> dict[str, Any]:
    matrix, layer, rho = str(candidate["matrix"]), int(candidate["layer"]), float(candidate["rho"])
    return {"matrix": matrix, "layer": layer, "rho": rho, "kept_rank": kept[matrix, layer, rho]}


def _scores(averages: dict[str, Any]) -> dict[str, Any]:
    loss = float(averages["loss"])
    return {
        "accuracy": float(averages["accuracy"]),
        "loss": loss if math.isfinite(loss) else None,
        "n": int(averages["n"]),
    }
