"""How often a gain of the size called detectable is significant, on simulated facts.

    PYTHONPATH=workflow/scripts python -m benchmarks.power [--samples 1000] [--seed 0]

A fact has one row or three phrasings, as in benchmarks.coverage. Each cell of the output is the share of samples in
which the paired test is significant if the true gain is the detectable one, and in brackets that gain in points.
A second table is about choices: the share of samples in which the best of 100 candidates has p of at most 0.05 although
none of them is better than base.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.coverage import PHRASINGS

FACTS = (60, 200, 804)
CHANGED = (0.005, 0.02, 0.1, 0.3)
COPIED = (0.0, 0.5, 1.0)
RESAMPLES = 1_000
CANDIDATES = 100


def changes_drawn(
    gain: float, changed: float, facts: int, rows: int, copied: float, generator: np.random.Generator
) -> np.ndarray:
    """Return (facts · rows,) paired changes −1, 0 or 1.

    Args:
        gain: chance of a change for the better, less that of one for the worse; at most `changed`.
        changed: chance that a row changes.
        facts: number of facts.
        rows: number of rows of a fact.
        copied: share of facts whose rows all change alike.
        generator: the source of random numbers.
    """
    chances = [(changed - gain) / 2, 1 - changed, (changed + gain) / 2]
    drawn = generator.choice([-1, 0, 1], size=(facts, rows), p=chances)
    alike = generator.random(facts) < copied
    drawn[alike] = drawn[alike, :1]
    return drawn.ravel()


def power_at_detectable(
    changed: float, facts: int, rows: int, copied: float, samples: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the share of significant samples at the detectable gain, and the mean of that gain (0 to 1)."""
    from laser.analysis.power import detectable_gain
    from laser.analysis.statistics import accuracy_p_value

    groups = list(np.repeat(np.arange(facts), rows))
    gains, significant = [], 0
    for sample in range(samples):
        # The study at hand has its own gain; its discordance is all that is known about the next one.
        seen = detectable_gain(changes_drawn(0.0, changed, facts, rows, copied, generator), groups)
        gains.append(seen)
        drawn = changes_drawn(min(seen, 1.0), max(changed, seen), facts, rows, copied, generator)
        p = accuracy_p_value(drawn < 0, drawn > 0, groups, seed=sample, resamples=RESAMPLES)
        significant += p < 0.05
    return significant / samples, float(np.mean(gains))


def null_choices(facts: int, harmful: int, samples: int, generator: np.random.Generator) -> float:
    """Return how often the best candidate has a p of at most 0.05 where none is better than base.

    Args:
        facts: number of rows used for the choice.
        harmful: how many of `CANDIDATES` lose half of the right answers; the others are right as often as base.
        samples: number of samples.
        generator: the source of random numbers.
    """
    from laser.analysis.power import best_of_null
    from laser.analysis.stability import Scores

    names, hits = [("u_in", number, 0.1) for number in range(CANDIDATES)], 0
    for sample in range(samples):
        chance = generator.beta(0.4, 0.9, size=(facts, 1))
        base = generator.random((facts, 1)) < chance
        # Ten candidates at a time answer the same rows anew, as neighbouring ranks do.
        anew = np.repeat(generator.random((facts, CANDIDATES // 10)) < 0.3, 10, axis=1)
        anew &= generator.random((facts, CANDIDATES)) < 0.5
        right = np.where(anew, generator.random((facts, CANDIDATES)) < chance, base)
        right[:, :harmful] &= generator.random((facts, harmful)) < 0.5
        correct = np.concatenate([right, base], axis=1).astype(np.float64)
        none = np.zeros_like(correct)
        gain = 100 * float((right.mean(axis=0) - base.mean()).max())
        hits += best_of_null(Scores(names, correct, none, none, np.ones(facts)), gain, [sample], 500).p_value <= 0.05
    return hits / samples


def main() -> None:
    """Print two Markdown tables: power, and choices without an effect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="simulated samples of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    settings = parser.parse_args()
    generator = np.random.default_rng(settings.seed)
    heads = ["rows that change, %", "rows of a fact", *(f"{facts} facts" for facts in FACTS)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for changed in CHANGED:
        for rows in (1, PHRASINGS):
            cells = []
            for facts in FACTS:
                kinds = COPIED if rows > 1 else (1.0,)
                made = [
                    power_at_detectable(changed, facts, rows, copied, settings.samples, generator) for copied in kinds
                ]
                shares, gains = [share for share, _ in made], [100 * gain for _, gain in made]
                bounds = dict.fromkeys(f"{share:.2f}" for share in (min(shares), max(shares)))
                points = dict.fromkeys(f"{gain:.1f}" for gain in (min(gains), max(gains)))
                cells.append(f"{' to '.join(bounds)} ({' to '.join(points)})")
            print("| " + " | ".join([f"{100 * changed:g}", str(rows), *cells]) + " |", flush=True)
    print("\n| harmful candidates of 100 | " + " | ".join(f"{facts} facts" for facts in FACTS) + " |")
    print("|" + "---|" * (1 + len(FACTS)))
    for harmful in (0, CANDIDATES // 2, CANDIDATES - 10):
        shares = [null_choices(facts, harmful, settings.samples, generator) for facts in FACTS]
        print("| " + " | ".join([str(harmful), *(f"{share:.3f}" for share in shares)]) + " |", flush=True)


if __name__ == "__main__":
    main()
