"""Null distributions for the rules of claims: exact tail probabilities and permutation tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 10_000
MOST_ENUMERATED = 5_040
"""Largest number of permutations that are enumerated (7! for seven layers); beyond it, permutations are drawn."""


def count_tails(chances: Sequence[float], hits: int) -> tuple[float, float]:
    """Return the probabilities of at least, and of at most, this many hits.

    Args:
        chances: probability of a hit for each independent random choice.
        hits: observed number of hits.
    """
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return float(min(1.0, distribution[hits:].sum())), float(min(1.0, distribution[: hits + 1].sum()))


def trend(values: Sequence[float]) -> tuple[float, float]:
    """Return Spearman's correlation of values with their order, and its permutation p value in its direction."""
    return rank_correlation(np.arange(len(values), dtype=np.float64), values)


def rank_correlation(first: Sequence[float] | NDArray, second: Sequence[float] | NDArray) -> tuple[float, float]:
    """Return Spearman's correlation and its permutation p value in its direction; (nan, 1) if either is constant."""
    return blocked_correlation([(first, second)])


def blocked_correlation(
    blocks: Sequence[tuple[Sequence[float] | NDArray, Sequence[float] | NDArray]],
) -> tuple[float, float]:
    """Return the mean of Spearman's correlations within blocks, and its p value from permutations within blocks.

    Values within a block depend on each other (models of one corpus); values of different blocks are independent.
    """
    from scipy.stats import rankdata

    pairs, values = [], []
    for first, second in blocks:
        left, right = (np.asarray(rankdata(side), dtype=np.float64) for side in (first, second))
        left, right = left - left.mean(), right - right.mean()
        size = math.sqrt(float((left**2).sum() * (right**2).sum()))
        if size > 0:
            pairs.append((left / size, right))
            values.append(float(left @ right) / size)
    if not pairs:
        return math.nan, 1.0
    return sum(values) / len(values), _share_as_extreme([left for left, _ in pairs], [right for _, right in pairs])


def _share_as_extreme(lefts: Sequence[NDArray], rights: Sequence[NDArray]) -> float:
    """Return how often permutations within blocks reach the observed sum of products, in its direction."""
    total = sum(float(left @ right) for left, right in zip(lefts, rights, strict=True))
    sign, observed = math.copysign(1.0, total), abs(total) - 1e-9
    if len(lefts) == 1 and math.factorial(len(lefts[0])) <= MOST_ENUMERATED:
        orders = np.array(list(itertools.permutations(rights[0])))
        return float((sign * (orders @ lefts[0]) >= observed).mean())
    generator = np.random.default_rng(0)
    sums = np.zeros(PERMUTATIONS)
    for left, right in zip(lefts, rights, strict=True):
        sums += generator.permuted(np.tile(right, (PERMUTATIONS, 1)), axis=1) @ left
    return float((1 + (sign * sums >= observed).sum()) / (1 + PERMUTATIONS))
