"""One intervention for several datasets, chosen only from their validation scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from laser.config.protocols import PROTOCOLS
from laser.errors import UserError

RULE = (
    "highest mean over the datasets of the standardised gain in validation accuracy (gain over base, divided by the "
    "standard deviation of base's right and wrong rows, one of each added); ties: lower mean validation log-loss, then "
    "later layer, then the grid's order of matrices, then smaller rho; corrected: the base model is a candidate too "
    "and wins ties"
)

SITE = ("matrix", "layer", "rho", "kept_rank")


def standardised_gain(scores: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    """Return a gain in accuracy in units of the standard deviation of the base model's rows (Glass's delta).

    The standard deviation of right and wrong rows is sqrt(p (1 - p)). One right and one wrong row are added to those of
    base, so that it is positive even if base is right, or wrong, on all rows.

    Args:
        scores: the intervention's scores: `accuracy` in percent.
        base: the base model's `accuracy` in percent, and `n`, the number of rows.
    """
    right = base["accuracy"] / 100 * base["n"]
    share = (right + 1) / (base["n"] + 2)
    return float((scores["accuracy"] - base["accuracy"]) / 100 / math.sqrt(share * (1 - share)))


def generic_choice(parts: Sequence[Mapping[str, Any]], matrices: Sequence[str], protocol: str) -> dict[str, Any]:
    """Choose one intervention for several datasets of a model (`RULE`); for a single dataset, as selection does.

    An intervention under which the model overflows on any of the datasets comes last.

    Args:
        parts: one protocol's part of each dataset's selection file: `validation` and `candidates`.
        matrices: the grid's order of matrices.
        protocol: `published` or `corrected`.

    Returns:
        `chosen` (matrix, layer, rho, kept_rank; None if base won), `gain`, its mean standardised gain (0 for base),
        and `candidates`, the number of interventions that were scored on all datasets.

    Raises:
        UserError: no intervention was scored on all of the datasets.
    """
    scored = [{_identity(candidate): candidate for candidate in part["candidates"]} for part in parts]
    bases = [part["validation"]["base"] for part in parts]
    common = [site for site in scored[0] if all(site in others for others in scored[1:])]
    if not common:
        raise UserError("no intervention was scored on all datasets. Delete their selection files and run again.")
    means = {
        site: (
            math.fsum(standardised_gain(of[site], base) for of, base in zip(scored, bases, strict=True)) / len(parts),
            _mean_loss([of[site] for of in scored]),
        )
        for site in common
    }

    def order(site: tuple[str, int, float]) -> tuple[Any, ...]:
        (gain, loss), (matrix, layer, rho) = means[site], site
        finite = math.isfinite(loss)
        return not finite, -gain, loss if finite else 0.0, -layer, matrices.index(matrix), rho

    best = min(common, key=order)
    gain, loss = means[best]
    wins = math.isfinite(loss) and (gain, -loss) > (0.0, -_mean_loss(bases))
    if PROTOCOLS[protocol].base_is_candidate and not wins:
        return {"chosen": None, "gain": 0.0, "candidates": len(common)}
    return {"chosen": {key: scored[0][best][key] for key in SITE}, "gain": gain, "candidates": len(common)}


def _identity(candidate: Mapping[str, Any]) -> tuple[str, int, float]:
    return str(candidate["matrix"]), int(candidate["layer"]), float(candidate["rho"])


def _mean_loss(scores: Sequence[Mapping[str, Any]]) -> float:
    losses = [math.inf if each["loss"] is None else float(each["loss"]) for each in scores]
    return math.fsum(losses) / len(losses)
