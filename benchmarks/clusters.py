"""How often the interval of a gain covers the gain on templates, or answers, other than those that were drawn.

    PYTHONPATH=workflow/scripts python -m benchmarks.clusters [--samples 1000] [--seed 0]

True gains of clusters are uniform about 10 points with a standard deviation of 0 to 10 points, or (skewed)
exponential with a mean of 10: a few clusters gain most. Templates have 90 rows each; the number of rows of an answer
falls with its rank, as in worldfacts. Each line has the coverage of the interval over clusters and, beside it, of the
interval over rows, which is about further rows of the same clusters.
"""

from __future__ import annotations

import argparse

import numpy as np

GAIN, WORSE = 0.1, 0.03
SPREADS = (0.0, 0.02, 0.05, 0.1)
SKEWED = -1.0


def sizes_of_kinds() -> dict[str, list[int]]:
    """Return the number of rows of every cluster, by what is drawn."""
    templates = {f"{count} templates": [90] * count for count in (5, 9, 15, 30)}
    return templates | {
        f"{count} answers": [max(3, 240 // place) for place in range(1, count + 1)] for count in (30, 140)
    }


def covered(sizes: list[int], spread: float, samples: int, generator: np.random.Generator) -> tuple[float, float]:
    """Return how often the intervals over clusters, and over rows, cover the mean gain of all possible clusters."""
    from laser.analysis.clusters import cluster_interval
    from laser.analysis.intervals import change_interval

    clusters = np.repeat(np.arange(len(sizes)), sizes)
    held = np.zeros(2)
    for _ in range(samples):
        gains = GAIN + spread * np.sqrt(3) * generator.uniform(-1, 1, len(sizes))
        if spread == SKEWED:
            gains = np.minimum(generator.exponential(GAIN, len(sizes)), 1 - 2 * WORSE)
        chances = (gains + WORSE)[clusters]
        outcomes = generator.random(len(clusters))
        changes = (outcomes < chances).astype(float) - (outcomes > 1 - WORSE)
        bounds = cluster_interval(changes, list(clusters)), change_interval(changes)
        held += [low <= GAIN <= high for low, high in bounds]
    return tuple(held / samples)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = np.random.default_rng(given.seed)
    print("| drawn | " + " | ".join(f"sd {100 * spread:g}" for spread in SPREADS) + " | skewed |")
    print("|---" * (len(SPREADS) + 2) + "|")
    for name, sizes in sizes_of_kinds().items():
        cells = [covered(sizes, spread, given.samples, generator) for spread in (*SPREADS, SKEWED)]
        print(f"| {name} | " + " | ".join(f"{over:.2f} ({rows:.2f})" for over, rows in cells) + " |")


if __name__ == "__main__":
    main()
