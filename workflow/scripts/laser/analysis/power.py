"""How much a comparison could have shown: the smallest detectable gain, and the effect of chance on the choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser.analysis.stability import Scores
from laser.analysis.statistics import RESAMPLES, group_sums
from laser.config.protocols import SIGNIFICANCE

POWER = 0.8
HIGH = 0.95
"""Quantile of the best null candidate's gain that is reported with the mean."""

_BLOCK = 2_000_000


def detectable_gain(
    changes: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    level: float = SIGNIFICANCE,
    power: float = POWER,
) -> float:
    """Return the smallest mean paired change that a two-sided test at this level detects with this power.

    This is Connor's formula for McNemar's test (1987), with variances over groups: the variance of the observed
    changes, but at least that of a gain whose groups all change one way, since a gain cannot exceed the share of rows
    that change.

    Args:
        changes: (n,) observed numbers from −1 (right, then wrong) to 1 (wrong, then right), one per row.
        groups: n group labels, or None if every row is independent.
        level: significance level of the test.
        power: probability that the test is significant.

    Returns:
        A share above 0; NaN if not even a change of all rows would be detected.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    sums, sizes = group_sums(changes, groups)
    rows = sizes.sum()
    observed, size = float((sums**2).sum() / rows**2), float((sizes**2).sum() / rows**2)
    by_level, by_power = float(norm.ppf(1 - level / 2)), float(norm.ppf(power))

    def excess(gain: float) -> float:
        variance = max(observed, gain * size)
        return gain - by_level * math.sqrt(variance) - by_power * math.sqrt(max(variance - gain**2 * size, 0.0))

    return float(brentq(excess, np.finfo(np.float64).tiny, 1.0)) if excess(1.0) >= 0 else math.nan


@dataclass(frozen=True)
class NullBest:
    """Gain of the best of many candidates without an effect, on the rows that choose it, in points of accuracy.

    Attributes:
        compared: number of candidates included.
        mean, high: mean and 95 % quantile of the best candidate's gain.
        p_value: how often this gain is at least the observed gain.
    """

    compared: int
    mean: float
    high: float
    p_value: float


def best_of_null(scores: Scores, gain: float, seed: Sequence[int], resamples: int = RESAMPLES) -> NullBest:
    """Simulate the best candidate's gain on validation rows if no candidate had an effect.

    Base and candidates are swapped in randomly drawn groups, in the same groups for all candidates, which preserves the
    correlation of candidates that change the same rows. Candidates clearly worse than base, by the threshold of
    Hansen's test (2005), are excluded: they change many rows, and their noise would dominate the others.

    Args:
        scores: scores of one cell, for every candidate and base (`laser.analysis.stability.load_scores`).
        gain: gain of the chosen candidate on these rows, in points.
        seed: for `numpy.random.default_rng`.
        resamples: number of draws.
    """
    changes = scores.correct[:, :-1] - scores.correct[:, -1:]
    kept = changes[:, ~clearly_worse(changes)]
    if not kept.shape[1]:
        return NullBest(0, math.nan, math.nan, math.nan)
    changed = kept[(kept != 0).any(axis=1)]
    generator, count = np.random.default_rng(seed), len(changed)
    best = np.zeros(resamples)
    step = max(1, _BLOCK // max(1, count))
    for start in range(0, resamples if count else 0, step):
        signs = 2.0 * generator.integers(0, 2, size=(min(step, resamples - start), count)) - 1
        best[start : start + len(signs)] = (signs @ changed).max(axis=1)
    best *= 100 / scores.sizes.sum()
    extreme = int((best >= gain - 1e-9).sum())
    return NullBest(kept.shape[1], float(best.mean()), float(np.quantile(best, HIGH)), (1 + extreme) / (1 + resamples))


def clearly_worse(changes: NDArray) -> NDArray:
    """Return which candidates' mean changes lie more than √(2 log log groups) standard errors below 0.

    Args:
        changes: (groups, candidates) changes, summed within groups.
    """
    groups = len(changes)
    threshold = math.sqrt(2 * math.log(math.log(max(groups, 3))))
    spread = np.sqrt(groups * ((changes - changes.mean(axis=0)) ** 2).sum(axis=0) / max(groups - 1, 1))
    total = changes.sum(axis=0)
    return (total < 0) & (total <= -threshold * spread)


def constant_by_kind(answers: Sequence[str], kinds: Sequence[str]) -> float:
    """Return the accuracy, in percent, of answering every row with the most frequent answer of its kind.

    Args:
        answers: right answer of every row (case and outer spaces are ignored).
        kinds: kind of every row, such as its relation.
    """
    counts: dict[str, dict[str, int]] = {}
    for answer, kind in zip(answers, kinds, strict=True):
        text, of_kind = answer.strip().lower(), counts.setdefault(kind, {})
        of_kind[text] = of_kind.get(text, 0) + 1
    return 100 * sum(max(of_kind.values()) for of_kind in counts.values()) / len(answers)
