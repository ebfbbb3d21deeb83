"""Races replayed on the rows of a finished exhaustive sweep, with the code that runs races."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from laser.errors import UserError
from laser.evaluation.racing import Race, Rules, run_race
from laser.results.columns import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORES = ["protocol", "id", "correct", "loss"]


@dataclass(frozen=True)
class Swept:
    """The validation scores of one cell under one protocol.

    Attributes:
        candidates: (matrix, layer, rho) of each candidate, in the order in which selection breaks ties.
        correct, loss: (candidates, rows) scores.
        base: (2, rows) `correct` and `loss` of the base model.
    """

    candidates: list[tuple[str, int, float]]
    correct: np.ndarray
    loss: np.ndarray
    base: np.ndarray


def swept_scores(base: Path, sweep: Sequence[Path], matrices: Sequence[str]) -> dict[str, Swept]:
    """Return the scores of a cell's sweep by protocol.

    Args:
        base: file of the base model's validation rows.
        sweep: files of the sweep.
        matrices: the grid's order of matrices.

    Raises:
        UserError: an intervention was scored on other rows than base.
    """
    unedited = {
        str(protocol): rows.set_index("id")[["correct", "loss"]]
        for protocol, rows in read_columns(base, SCORES).groupby("protocol")
    }
    by_protocol: dict[str, dict[tuple[str, int, float], NDArray[Any]]] = {protocol: {} for protocol in unedited}
    # One file at a time, because all rows of a large sweep do not fit into memory.
    for path in sweep:
        rows = read_columns(path, ["matrix", "layer", "rho", *SCORES])
        for labels, part in rows.groupby(["protocol", "matrix", "layer", "rho"]):
            protocol, matrix, layer, rho = cast(tuple[str, str, int, float], labels)
            scored = part.set_index("id")[["correct", "loss"]]
            if sorted(scored.index) != sorted(unedited[protocol].index):
                raise UserError(
                    f"{path}: protocol {protocol} was scored on other validation rows than {base}. Delete and rerun."
                )
            by_protocol[protocol][matrix, int(layer), float(rho)] = _numbers(scored.loc[unedited[protocol].index])

    def order(candidate: tuple[str, int, float]) -> tuple[int, int, float]:
        matrix, layer, rho = candidate
        return -layer, matrices.index(matrix), rho

    scores = {}
    for protocol, by_candidate in by_protocol.items():
        candidates = sorted(by_candidate, key=order)
        both = np.stack([by_candidate[candidate] for candidate in candidates])
        scores[protocol] = Swept(candidates, both[:, 0].astype(bool), both[:, 1], _numbers(unedited[protocol]))
    return scores


def _numbers(scores: pd.DataFrame) -> NDArray[Any]:
    """Return (2, rows) `correct` and `loss`."""
    return scores.to_numpy(dtype=float, na_value=np.nan).T


def winner(correct: np.ndarray, loss: np.ndarray, base: np.ndarray | None) -> int | None:
    """Return the candidate that selection chooses (`laser.evaluation.select.RULE`); None if base wins.

    Args:
        correct: (candidates, rows), candidates in the order in which ties are broken.
        loss: (candidates, rows), in the same order.
        base: (2, rows) scores of the base model, if it competes.
    """
    overflows = ~np.isfinite(loss).all(axis=1)
    means = np.where(overflows, 0.0, loss.mean(axis=1))
    best = min(range(len(correct)), key=lambda index: (overflows[index], -correct[index].sum(), means[index]))
    wins = base is None or (
        not overflows[best] and (correct[best].sum(), -means[best]) > (base[0].sum(), -base[1].mean())
    )
    return best if wins else None


def replay(swept: Swept, base_competes: bool, rules: Rules) -> tuple[Race, bool]:
    """Race the candidates of a sweep; return the race, and True if it ends in the choice of the exhaustive search."""
    base = swept.base if base_competes else None

    def evaluate(which: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return swept.correct[np.ix_(which, rows)], swept.loss[np.ix_(which, rows)]

    race = run_race(swept.correct.shape[1], len(swept.correct), evaluate, base, rules)
    whole = np.flatnonzero(race.whole)
    won = winner(swept.correct[whole], swept.loss[whole], base)
    return race, (None if won is None else int(whole[won])) == winner(swept.correct, swept.loss, base)
