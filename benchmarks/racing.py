"""What racing would have chosen and saved in a finished study, and how often it errs.

    PYTHONPATH=workflow/scripts python -m benchmarks.racing RESULTS [RESULTS ...] [--orders 20] [--rows 2000]
    PYTHONPATH=workflow/scripts python -m benchmarks.racing --simulate 1000

A sweep holds the rows of every candidate, so a race over the same rows is replayed exactly, by the code that runs
races (laser.evaluation.racing), in several random orders. `--rows` draws that many rows from the sweep's with
replacement, to show what larger validation sets would save. `--simulate` races candidates of equal accuracy on all
rows, the hardest case, and counts how often the one that wins by its loss is stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from laser.analysis.racing import Swept, replay, swept_scores, winner
from laser.config.paths import Folders
from laser.config.protocols import PROTOCOLS
from laser.evaluation.racing import Rules

RULES = Rules(error=0.05, blocks=10, seed=0)
CASES = ((60, 2), (60, 162), (200, 2), (200, 162), (2000, 2))
"""Numbers of rows and candidates of the simulated races."""


def study_table(results: Path, orders: int, rows: int | None) -> Iterator[dict[str, object]]:
    """Yield a line per cell and protocol of a finished study: means over random orders."""
    for path in sorted(results.glob("selection/*/*.json")):
        names = {"model": path.parent.name, "dataset": path.stem}
        folders, spec = Folders(results, ""), json.loads(path.read_text())["spec"]
        grid = {"layer": spec["grid"]["layers"], "rho": [float(rho) for rho in spec["rhos"]]}
        sweep = [Path(file) for file in folders.each("sweep", **names, **grid)]
        for protocol, scores in swept_scores(folders.path("base", **names), sweep, spec["grid"]["matrices"]).items():
            swept = drawn(scores, rows) if rows else scores
            competes = PROTOCOLS[protocol].base_is_candidate
            races = [replay(swept, competes, replace(RULES, seed=seed)) for seed in range(orders)]
            saved = [100 * (1 - race.seen.mean() / race.rows) for race, _ in races]
            yield {
                **names,
                "protocol": protocol,
                "rows": swept.correct.shape[1],
                "candidates": len(swept.correct),
                "same choice": f"{sum(same for _, same in races)} of {orders}",
                "saved, %": round(float(np.mean(saved)), 1),
                "run to the end": round(float(np.mean([race.whole.sum() for race, _ in races])), 1),
            }


def drawn(swept: Swept, rows: int) -> Swept:
    """Return `rows` rows of a sweep, drawn with replacement."""
    picked = np.random.default_rng(0).integers(swept.correct.shape[1], size=rows)
    return Swept(swept.candidates, swept.correct[:, picked], swept.loss[:, picked], swept.base[:, picked])


def error_rate(rows: int, candidates: int, accuracy: float, alike: float, races: int) -> float:
    """Return how often the candidate that wins on all rows is stopped, among candidates of the same accuracy.

    Args:
        rows: number of validation rows.
        candidates: number of candidates.
        accuracy: every candidate's accuracy on all rows.
        alike: share of the rows on which all candidates are right or all are wrong.
        races: number of simulated races.
    """
    errors, shared = 0, round(alike * rows)
    right = np.arange(rows - shared) < accuracy * (rows - shared)
    for seed in range(races):
        generator = np.random.default_rng([seed, rows, candidates])
        differing = generator.permuted(np.tile(right, (candidates, 1)), axis=1)
        common = np.tile(np.arange(shared) < accuracy * shared, (candidates, 1))
        correct, loss = np.hstack([common, differing]), generator.random((candidates, rows))
        race, _ = replay(Swept([], correct, loss, np.zeros((2, rows))), False, replace(RULES, seed=seed))
        errors += not race.whole[winner(correct, loss, None)]
    return errors / races


def main() -> None:
    """Parse the command line and print tables as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", help="folders of finished studies")
    parser.add_argument("--orders", type=int, default=20, help="random orders of the rows")
    parser.add_argument("--rows", type=int, help="rows to draw from those of the sweep, with replacement")
    parser.add_argument("--simulate", type=int, default=0, metavar="RACES", help="races per line of the error's table")
    given = parser.parse_args()
    lines = [line for folder in given.results for line in study_table(folder, given.orders, given.rows)]
    if lines:
        print(pd.DataFrame(lines).to_csv(index=False), end="")
    if given.simulate:
        rates = [
            {"rows": rows, "candidates": candidates, "rows alike, %": 100 * alike}
            | {"winner stopped, %": 100 * error_rate(rows, candidates, 0.4, alike, given.simulate)}
            for rows, candidates in CASES
            for alike in (0.0, 0.8)
        ]
        print(pd.DataFrame(rates).to_csv(index=False), end="")


if __name__ == "__main__":
    main()
