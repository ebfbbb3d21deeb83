"""Intervals and tests for accuracies and losses whose rows may depend on each other.

Rows of one group (paraphrases of a fact, choices of a question) are not independent, so whole groups are resampled or
change sign. With one row per group these are the ordinary bootstrap and the ordinary paired tests. All randomness comes
from a seed; equal input gives equal output. The paper reports no intervals and no tests.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
_MANY_VALUES = 1_000
_BLOCK = 4_000_000
_ENUMERATED = 13


def seed_sequence(seed: int, *names: str) -> list[int]:
    """Return a seed for `numpy.random.default_rng` that differs for every quantity (named by `names`) of one study."""
    hashed = hashlib.sha256("\0".join(names).encode()).digest()
    return [seed, int.from_bytes(hashed[:8], "big")]


def group_sums(values: ArrayLike, groups: Sequence[object] | None = None) -> tuple[NDArray, NDArray]:
    """Sum `values` within groups.

    Args:
        values: (n,) numbers.
        groups: n group labels, or None if every row is independent.

    Returns:
        Sums (G,) float64 and group sizes (G,) float64, groups in order of first appearance.

    Raises:
        ValueError: there are no rows, a value is not finite, or the lengths differ.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"a mean needs a non-empty list of numbers, but the values have shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{int((~np.isfinite(array)).sum())} of {array.size} values are not finite")
    if groups is None:
        return array, np.ones_like(array)
    if len(groups) != array.size:
        raise ValueError(f"{array.size} values, but {len(groups)} group labels")
    numbers: dict[object, int] = {}
    index = np.fromiter((numbers.setdefault(group, len(numbers)) for group in groups), dtype=np.int64, count=array.size)
    return np.bincount(index, weights=array), np.bincount(index).astype(np.float64)


def bootstrap_interval(
    values: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    seed: int | Sequence[int] = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over rows, resampling whole groups.

    Args:
        values: (n,) numbers, one per row.
        groups: n group labels, or None if every row is independent.
        seed: seed for `numpy.random.default_rng`.
        resamples: number of resamples.

    Returns:
        Lower and upper bound, in the unit of `values`. A single group gives an interval of zero width.
    """
    sums, sizes = group_sums(values, groups)
    generator = np.random.default_rng(seed)
    means = _resampled_means(sums, sizes, generator, resamples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_means(sums: NDArray, sizes: NDArray, generator: np.random.Generator, resamples: int) -> NDArray:
    """Draw means of resampled groups.

    Groups with equal (sum, size) are exchangeable, so drawing how often each distinct value occurs has the same
    distribution as drawing groups, and is far cheaper for accuracies.
    """
    count = sums.size
    distinct, counts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    if len(distinct) <= _MANY_VALUES:
        drawn = generator.multinomial(count, counts / count, size=resamples)
        return (drawn @ distinct[:, 0]) / (drawn @ distinct[:, 1])
    means = np.empty(resamples)
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        chosen = generator.integers(0, count, size=(min(step, resamples - start), count))
        means[start : start + len(chosen)] = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    return means


def mcnemar_p_value(base: ArrayLike, changed: ArrayLike) -> float:
    """Return the two-sided p value of the exact McNemar test.

    Args:
        base: (n,) booleans, True where the row was right without the intervention.
        changed: (n,) booleans, the same rows with the intervention.
    """
    first, second = np.asarray(base, dtype=bool), np.asarray(changed, dtype=bool)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    return _mcnemar_of_counts(min(lost, won), lost + won)


def _mcnemar_of_counts(fewer: int, total: int) -> float:
    """Return McNemar's p value if `total` rows changed, `fewer` of them in the rarer direction."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(fewer, total, 0.5)))


def sign_flip_p_value(
    differences: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    seed: int | Sequence[int] = 0,
    resamples: int = RESAMPLES,
) -> float:
    """Return the two-sided p value of the paired sign-flip permutation test on groups.

    Without an effect, the two arms of a whole group are swapped with probability 1/2. The statistic is the summed
    difference, which corresponds to the mean over rows. All sign patterns are enumerated if at most 13 groups differ;
    otherwise `resamples` patterns are drawn and p = (1 + as extreme) / (1 + resamples).

    Args:
        differences: (n,) changed minus base, one per row.
        groups: n group labels, or None if every row is independent.
        seed: seed for `numpy.random.default_rng`.
        resamples: number of sign patterns drawn.
    """
    sums, _ = group_sums(differences, groups)
    sums = sums[sums != 0]
    if sums.size == 0:
        return 1.0
    observed = abs(float(sums.sum()))
    bound = observed - 1e-12 * float(np.abs(sums).sum())
    if sums.size <= _ENUMERATED:
        patterns = (np.arange(2**sums.size)[:, None] >> np.arange(sums.size)) & 1
        return float((np.abs((2 * patterns - 1) @ sums) >= bound).mean())
    extreme = int((np.abs(_flipped_sums(np.abs(sums), np.random.default_rng(seed), resamples)) >= bound).sum())
    return (1 + extreme) / (1 + resamples)


def _flipped_sums(magnitudes: NDArray, generator: np.random.Generator, resamples: int) -> NDArray:
    """Draw sums with random signs; equal magnitudes are drawn together, as a binomial number of plus signs."""
    distinct, counts = np.unique(magnitudes, return_counts=True)
    if len(distinct) <= _MANY_VALUES:
        plus = generator.binomial(counts, 0.5, size=(resamples, len(distinct)))
        return (2 * plus - counts) @ distinct
    total, count = float(magnitudes.sum()), magnitudes.size
    sums = np.empty(resamples)
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        plus = generator.integers(0, 2, size=(min(step, resamples - start), count), dtype=np.int8)
        sums[start : start + len(plus)] = 2 * np.where(plus, magnitudes, 0.0).sum(axis=1) - total
    return sums


def accuracy_p_value(
    base: ArrayLike,
    changed: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    seed: int | Sequence[int] = 0,
    resamples: int = RESAMPLES,
) -> float:
    """Test a change of accuracy on the same rows.

    The test is McNemar's exact test if every row is its own group. If groups have several rows, McNemar's test would
    count dependent rows as independent evidence, so the sign-flip test on groups is used instead (with one row per
    group the two agree).
    """
    if groups is None or len(set(groups)) == len(groups):
        return mcnemar_p_value(base, changed)
    differences = np.asarray(changed, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    return sign_flip_p_value(differences, groups, seed=seed, resamples=resamples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p values, in the given order."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return adjusted.tolist()


def mcnemar_p_range(first: float, second: float, n: int) -> tuple[float, float]:
    """Return the smallest and the largest p value of McNemar's exact test that two accuracies on the same rows allow.

    The more rows change in both directions, the larger p is. The fewest rows change if all changes go in one direction,
    the most if every row that can change does.

    Args:
        first: accuracy of one arm, percent.
        second: accuracy of the other arm, percent.
        n: number of rows, the same in both arms.
    """
    fewer, more = sorted(round(n * accuracy / 100) for accuracy in (first, second))
    net = more - fewer
    most = min(fewer, n - more)
    return _mcnemar_of_counts(0, net), _mcnemar_of_counts(most, net + 2 * most)


def shares(values: Sequence[str]) -> dict[str, float]:
    """Return the share of each distinct text (outer spaces ignored), largest first, ties in alphabetical order."""
    counts = Counter(str(value).strip() for value in values)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {text: count / len(values) for text, count in ordered}


def best_constant(answers: Sequence[str], with_options: bool) -> float:
    """Return the accuracy of the best constant answer on these rows, in percent.

    Args:
        answers: right answer of every row, at least one.
        with_options: True if rows offer options; otherwise case is ignored, as the scoring of open answers does.
    """
    return 100 * max(shares(answers if with_options else [answer.lower() for answer in answers]).values())
