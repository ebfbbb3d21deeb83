"""Stability of the choice of an intervention: selection repeated on bootstrap resamples of the validation groups.

The gain of a chosen intervention on the rows that chose it is too optimistic. Here every resample chooses on the
groups that it drew (in bag) and is scored on the groups that it did not draw (out of bag), so the gain includes the
effect of choosing. Only validation rows are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from laser.errors import UserError
from laser.results.columns import read_columns

RESAMPLES = 2_000
BASE = -1
_LOSS_DECIMALS = 9
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Scores:
    """Validation scores of every candidate of one cell under one protocol, summed within groups.

    Attributes:
        candidates: K tuples (matrix, layer, rho), in the order that breaks ties.
        correct: (G, K + 1) float64, right rows per group; the last column is the base model.
        loss: (G, K + 1) float64, nats, summed over the rows whose loss is finite.
        overflow: (G, K + 1) float64, rows whose loss is not finite.
        sizes: (G,) float64, rows per group.
    """

    candidates: list[tuple[str, int, float]]
    correct: NDArray
    loss: NDArray
    overflow: NDArray
    sizes: NDArray


def candidates_of(selection: Mapping[str, Any]) -> dict[str, list[tuple[str, int, float]]] | None:
    """Return, by protocol, the (matrix, layer, ρ) among which a selection chose; None if it chose among all."""
    if "keep_at_least" not in selection["spec"]:
        return None
    return {
        protocol: [(each["matrix"], each["layer"], each["rho"]) for each in part["candidates"]]
        for protocol, part in selection["protocols"].items()
    }


def load_scores(
    base: Path,
    sweep: Sequence[Path],
    groups: pd.Series,
    matrices: Sequence[str],
    candidates: Mapping[str, Sequence[tuple[str, int, float]]] | None = None,
) -> dict[str, Scores]:
    """Read one cell's validation rows, summed within groups, by protocol.

    Args:
        base: path of base.parquet.
        sweep: the cell's sweep files.
        groups: group of every row, by id.
        matrices: the grid's order of matrices, which breaks ties.
        candidates: maps a protocol to the (matrix, layer, ρ) among which selection chose; None for all in the sweep.

    Raises:
        UserError: an intervention was scored on other rows than base.
    """
    columns = ["protocol", "id", "correct", "loss"]
    unedited = read_columns(base, columns)
    parts: dict[str, dict[tuple[str, int, float], NDArray]] = {}
    numbers = {}
    for name, part in unedited.groupby("protocol"):
        labels = groups.loc[part["id"]]
        numbers[str(name)] = pd.Series(pd.factorize(labels)[0], index=part["id"].to_numpy())
        parts[str(name)] = {}
    for path in sweep:
        frame = read_columns(path, [*columns, "matrix", "layer", "rho"])
        for key, part in frame.groupby(["protocol", "matrix", "layer", "rho"]):
            protocol, matrix, layer, rho = cast(tuple[str, str, int, float], key)
            parts[protocol][matrix, int(layer), float(rho)] = _sums(part, numbers[protocol], path)
    scores = {}
    for name, part in unedited.groupby("protocol"):
        protocol = str(name)
        index, by_candidate = numbers[protocol], parts[protocol]
        if candidates is not None:
            by_candidate = {place: by_candidate[place] for place in candidates[protocol] if place in by_candidate}
        if not by_candidate:
            raise UserError(f"{base}: no sweep file holds rows of the protocol {protocol}. Give them, or run `sweep`.")
        # Selection's fixed order for ties: the later layer, then the grid's order of matrices, then the smaller rho.
        order = sorted(
            by_candidate, key=lambda candidate: (-candidate[1], list(matrices).index(candidate[0]), candidate[2])
        )
        stacked = np.stack([*(by_candidate[candidate] for candidate in order), _sums(part, index, base)], axis=2)
        sizes = np.bincount(index.to_numpy()).astype(np.float64)
        scores[protocol] = Scores(order, stacked[0], stacked[1], stacked[2], sizes)
    return scores


def _sums(frame: pd.DataFrame, numbers: pd.Series, path: Path) -> NDArray:
    """Return (3, G), per group: number of right rows, sum of finite losses, number of rows without a finite loss."""
    if len(frame) != len(numbers) or frame["id"].duplicated().any() or not frame["id"].isin(numbers.index).all():
        raise UserError(f"{path}: an intervention was scored on other validation rows than base. Delete and rerun.")
    index = numbers.loc[frame["id"]].to_numpy()
    losses = frame["loss"].to_numpy(dtype=np.float64)
    finite = np.isfinite(losses)
    weights = (frame["correct"].to_numpy(dtype=np.float64), np.where(finite, losses, 0.0), (~finite).astype(np.float64))
    return np.stack([np.bincount(index, weights=weight, minlength=int(numbers.max()) + 1) for weight in weights])


def choose(scores: Scores, weights: NDArray, base_is_candidate: bool) -> NDArray:
    """Apply the rule of selection (`laser.evaluation.select`) to every resample.

    Losses are compared to nine decimals, because sums of the same losses in another order differ in the last bits.

    Args:
        scores: scores of one cell.
        weights: (resamples, G), how often each group was drawn.
        base_is_candidate: True to choose the base model unless an intervention beats it.

    Returns:
        (resamples,) int64, the index in `scores.candidates`, or `BASE`.
    """
    sizes = weights @ scores.sizes
    correct = weights @ scores.correct
    loss = np.round((weights @ scores.loss) / sizes[:, None], _LOSS_DECIMALS)
    loss[weights @ scores.overflow > 0] = np.inf
    # A candidate that overflows ranks below all candidates that do not, whatever its accuracy.
    ranked = np.where(np.isfinite(loss), correct, correct - sizes[:, None] - 1)[:, :-1]
    best = ranked.max(axis=1, keepdims=True)
    tied = np.where(ranked == best, loss[:, :-1], np.nan)
    # The first candidate with the lowest loss among those tied; in two passes, because infinity is a valid loss here.
    lowest = np.nanmin(tied, axis=1, keepdims=True)
    chosen = np.argmax(tied == lowest, axis=1)
    if base_is_candidate:
        rows = np.arange(len(chosen))
        taken, reference = correct[rows, chosen], correct[:, -1]
        wins = (taken > reference) | ((taken == reference) & (loss[rows, chosen] < loss[:, -1]))
        chosen = np.where(wins, chosen, BASE)
    return chosen.astype(np.int64)


def resample(
    scores: Scores, base_is_candidate: bool, seed: Sequence[int], resamples: int = RESAMPLES
) -> tuple[NDArray, NDArray, NDArray]:
    """Choose on resampled groups and score each choice in and out of bag.

    Returns:
        The choices (resamples,) as `choose` returns them, and the gains in accuracy over base, in points, in bag and
        out of bag; NaN out of bag if a resample drew every group.
    """
    generator, count = np.random.default_rng(seed), len(scores.sizes)
    gains = 100 * (scores.correct[:, :-1] - scores.correct[:, -1:])
    gains = np.concatenate([gains, np.zeros((count, 1))], axis=1)
    parts: list[tuple[NDArray, NDArray, NDArray]] = []
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        weights = generator.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))
        drawn = weights.astype(np.float64)
        out = (weights == 0).astype(np.float64)
        chosen = choose(scores, drawn, base_is_candidate)
        of_chosen = gains.T[chosen]
        with np.errstate(invalid="ignore"):
            inside = (drawn * of_chosen).sum(axis=1) / (drawn @ scores.sizes)
            outside = (out * of_chosen).sum(axis=1) / (out @ scores.sizes)
        parts.append((chosen, inside, outside))
    choices, inside, outside = (np.concatenate(blocks) for blocks in zip(*parts, strict=True))
    return choices, inside, outside
