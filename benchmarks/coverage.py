"""How often the 95 % intervals of shares and of their paired changes cover the truth, on simulated facts.

    PYTHONPATH=workflow/scripts python -m benchmarks.coverage [--samples 4000] [--seed 0]

A fact has one row or three phrasings. If phrasings are dependent, a share of the facts (`copied`) is answered alike in
all of them, the others independently; both kinds have the same chance of a right answer. Each line of the output gives
the smallest coverage over those shares (0, 0.3, 0.6, 1), for the interval in use and for the percentile bootstrap. The
last lines do the same for paired changes, by the chances that a fact gets better and that it gets worse.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

FACTS = (60, 200, 804, 3000)
SHARES = (0.002, 0.01, 0.05, 0.2, 0.5)
COPIED = (0.0, 0.3, 0.6, 1.0)
CHANGES = ((0.0, 0.0), (0.01, 0.002), (0.02, 0.02), (0.1, 0.02), (0.3, 0.2))
PHRASINGS = 3
RESAMPLES = 1_000
BOOTSTRAPPED = 300


def facts_drawn(
    chances: tuple[float, float], facts: int, rows: int, copied: float, samples: int, generator: np.random.Generator
) -> NDArray:
    """Return (samples, kinds) counts of facts by the sum of their rows, from −rows to rows.

    Args:
        chances: the chance that a row is 1, and that it is −1.
        facts: number of facts in a sample.
        rows: number of rows of a fact.
        copied: share of facts whose rows are all alike.
        samples: number of samples.
        generator: the source of random numbers.
    """
    alone = np.array([chances[1], 1 - sum(chances), chances[0]])
    independent = np.ones(1)
    for _ in range(rows):
        independent = np.convolve(independent, alone)
    same = np.zeros(2 * rows + 1)
    same[[0, rows, 2 * rows]] = alone
    return generator.multinomial(facts, copied * same + (1 - copied) * independent, size=samples)


def covered_shares(counts: NDArray, rows: int, share: float) -> float:
    """Return how often `share_bounds` covers the true share."""
    from laser.analysis.intervals import share_bounds

    sums, facts = np.arange(-rows, rows + 1), int(counts[0].sum())
    total = counts @ sums
    estimates = total / (facts * rows)
    residuals = (counts * (sums[None, :] - estimates[:, None] * rows) ** 2).sum(axis=1)
    low, high = share_bounds(total, facts * rows, facts, facts * rows**2, residuals)
    return float(((low <= share) & (share <= high)).mean())


def covered_changes(counts: NDArray, rows: int, change: float) -> float:
    """Return how often `change_bounds` covers the true change."""
    from laser.analysis.intervals import change_bounds

    sums, facts = np.arange(-rows, rows + 1), int(counts[0].sum())
    total = counts @ sums
    low, high = change_bounds(total, facts * rows, facts, facts * rows**2, counts @ sums**2, total * rows)
    return float(((low <= change) & (change <= high)).mean())


def covered_bootstrap(counts: NDArray, rows: int, truth: float, generator: np.random.Generator) -> float:
    """Return how often the percentile bootstrap covers the truth, on the first `BOOTSTRAPPED` samples."""
    sums, facts = np.arange(-rows, rows + 1), int(counts[0].sum())
    held = 0
    for sample in counts[:BOOTSTRAPPED]:
        means = generator.multinomial(facts, sample / facts, size=RESAMPLES) @ sums / (facts * rows)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low - 1e-12 <= truth <= high + 1e-12
    return held / min(BOOTSTRAPPED, len(counts))


def main() -> None:
    """Print a Markdown table of coverages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000, help="simulated samples of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    settings = parser.parse_args()
    generator = np.random.default_rng(settings.seed)
    heads = ["truth, %", "rows of a fact", *(f"{facts} facts" for facts in FACTS)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    truths = [(f"share {100 * share:g}", (share, 0.0)) for share in SHARES]
    truths += [(f"better {100 * better:g}, worse {100 * worse:g}", (better, worse)) for better, worse in CHANGES]
    for name, chances in truths:
        truth, covered = chances[0] - chances[1], covered_shares if name.startswith("share") else covered_changes
        for rows in (1, PHRASINGS):
            cells = []
            for facts in FACTS:
                closed, bootstrap = [], []
                for copied in COPIED if rows > 1 else (1.0,):
                    counts = facts_drawn(chances, facts, rows, copied, settings.samples, generator)
                    closed.append(covered(counts, rows, truth))
                    bootstrap.append(covered_bootstrap(counts, rows, truth, generator))
                cells.append(f"{min(closed):.3f} ({min(bootstrap):.2f})")
            print("| " + " | ".join([name, str(rows), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
