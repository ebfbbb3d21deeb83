"""How often a study of models whose gains differ is said to support a gain, and how often a count of models would.

    PYTHONPATH=workflow/scripts python -m benchmarks.models [--samples 1000] [--seed 1]

Standard errors are uniform between 0.3 and 3 points. The gain of every model is drawn about the mean, or that of every
corpus, which moves all models trained on it.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

STUDIES: dict[str, dict[str, Any]] = {
    "1": {"models": 1, "spread": 0.0},
    "2": {"models": 2},
    "4": {"models": 4},
    "15": {"models": 15},
    "15 of 3 corpora": {"models": 15, "corpora": 3},
    "15 that err alike": {"models": 15, "spread": 0.0, "alike": 1.0},
    "3": {"models": 3, "mean": 8.0},
    "3 that differ little": {"models": 3, "mean": 8.0, "spread": 1.0},
    "8": {"models": 8, "mean": 8.0},
}


def study(
    generator: np.random.Generator,
    models: int,
    mean: float = 0.0,
    spread: float = 5.0,
    corpora: int = 0,
    alike: float = 0.0,
) -> tuple[list[Any], dict[str, str]]:
    """Return the comparisons of a study whose models' true gains are drawn, and the corpus of each model.

    Args:
        generator: the source of random numbers.
        models: number of models.
        mean: mean of the true gains, points.
        spread: standard deviation of the true gains.
        corpora: how many corpora the models were trained on, each of which moves all of its models; 0 for none.
        alike: the share of the error's variance that is common to all models, which answer the same rows.
    """
    from laser.claims.findings import CONTRADICTED, SUPPORTED, Comparison, Effect

    errors = generator.uniform(0.3, 3.0, models)
    corpus = np.arange(models) % corpora if corpora else np.arange(models)
    truths = mean + spread * generator.normal(size=corpora or models)[corpus]
    own = np.sqrt(alike) * generator.normal() + np.sqrt(1 - alike) * generator.normal(size=models)
    comparisons = []
    for number, (value, error) in enumerate(zip(truths + errors * own, errors, strict=True)):
        effect = Effect(value, value - 1.96 * error, value + 1.96 * error, "points", least=1.0)
        verdict = SUPPORTED if effect.low > 0 and value >= 1 else CONTRADICTED
        comparisons.append(Comparison(f"m{number} on d, corrected", "e", verdict, effect))
    return comparisons, {f"m{number}": f"corpus {label}" for number, label in enumerate(corpus)}


def main() -> None:
    """Print the table."""
    from laser.claims.findings import SUPPORTED
    from laser.claims.judged import SUPPORTED_ALONE, overall

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("| models | true gains: mean, standard deviation | said to gain |\n|---|---|---|")
    for name, settings in STUDIES.items():
        generator, said, counted = np.random.default_rng(given.seed), 0, 0
        for _ in range(given.samples):
            comparisons, sources = study(generator, **settings)
            said += overall(comparisons, sources) in (SUPPORTED, SUPPORTED_ALONE)
            counted += 2 * sum(comparison.verdict == SUPPORTED for comparison in comparisons) > len(comparisons)
        truth = f"{settings.get('mean', 0.0):g}, {settings.get('spread', 5.0):g}"
        print(f"| {name} | {truth} | {said / given.samples:.3f} ({counted / given.samples:.3f}) |")


if __name__ == "__main__":
    main()
