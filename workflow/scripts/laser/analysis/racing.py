"""Races replayed on the rows of a finished exhaustive sweep, by the code that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from laser.evaluation.racing import Race, Rules, run_race
from laser.results.columns import read_columns

SCORES = ["protocol", "id", "correct", "loss"]


@dataclass(frozen=True)
class Swept:
    """The validation scores of one cell under one protocol.

    Attributes:
        candidates: (matrix, layer, rho) each, in the order in which selection breaks ties.
        correct, loss: (candidates, rows).
        base: (2, rows) correct and loss of the base model.
    """

    candidates: list[tuple[str, int, float]]
    correct: np.ndarray
    loss: np.ndarray
    base: np.ndarray


def swept_scores(base: Path, sweep: Sequence[Path], matrices: Sequence[str]) -> dict[str, Swept]:
    """Return the scores of a cell's sweep by protocol.

    Args:
        base: the base model's validation rows.
        sweep: the files of the sweep.
        matrices: the grid's order of matrices.
    """
    reference = read_columns(base, SCORES)
    rows = pd.concat([read_columns(path, ["matrix", "layer", "rho", *SCORES]) for path in sweep], ignore_index=True)
    rows = rows.assign(matrix=rows["matrix"].map(list(matrices).index), layer=-rows["layer"])
    scores = {}
    for protocol, of_base in reference.groupby("protocol"):
        of_base = of_base.set_index("id")
        own = rows[rows["protocol"] == protocol].set_index(["layer", "matrix", "rho", "id"])
        wide = own[["correct", "loss"]].unstack("id").sort_index()
        correct, loss = (wide[name][of_base.index].to_numpy() for name in ("correct", "loss"))
        unedited = of_base[["correct", "loss"]].to_numpy(dtype=float).T
        candidates = [(matrices[matrix], -layer, float(rho)) for layer, matrix, rho in wide.index]
        scores[str(protocol)] = Swept(candidates, correct.astype(bool), loss.astype(float), unedited)
    return scores


def winner(correct: np.ndarray, loss: np.ndarray, base: np.ndarray | None) -> int | None:
    """Return the candidate that selection chooses (`laser.evaluation.select.RULE`); None where base wins.

    Args:
        correct: (candidates, rows), candidates in the order in which ties are broken.
        loss: the same.
        base: (2, rows) of the base model, where it competes.
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
