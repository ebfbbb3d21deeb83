"""The audit's own statistics, reimplemented from the documented recipe (docs/auditing.md).

Numbers that come from random draws repeat the same draws of numpy's generator. Everything else is computed differently
from the code under audit, with the standard library where possible.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

DISTINCT = 1_000
"""Largest number of distinct values for which the count of each is drawn; above it, indices are drawn."""

BLOCK = 4_000_000
ENUMERATED = 13
TAIL = (1 - 0.95) / 2
SERIES = 1_000
"""Degrees of freedom from which Student's quantile is computed as a series (Abramowitz and Stegun, 26.7.5)."""


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of one quantity: seeded with the study's seed and 8 bytes of the sha256 of its names."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:8], "big")])


def by_group(values: ArrayLike, groups: Sequence[object]) -> tuple[NDArray, NDArray]:
    """Return the sum and size of every group, in order of first appearance."""
    codes, _ = pd.factorize(np.array(list(groups), dtype=object))
    sums = np.bincount(codes, weights=np.asarray(values, dtype=np.float64))
    return sums, np.bincount(codes).astype(np.float64)


def mean(values: ArrayLike) -> float:
    """Return the mean, computed from the exact sum."""
    listed = [float(value) for value in np.asarray(values, dtype=np.float64)]
    if any(not math.isfinite(value) for value in listed):
        return float(np.mean(listed))
    return math.fsum(listed) / len(listed)


def interval(
    values: ArrayLike, groups: Sequence[object], draws: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean over rows, resampling whole groups."""
    sums, sizes = by_group(values, groups)
    distinct, counts = np.unique(np.column_stack([sums, sizes]), axis=0, return_counts=True)
    if len(distinct) <= DISTINCT:
        drawn = draws.multinomial(len(sums), counts / len(sums), size=resamples)
        means = (drawn @ distinct[:, 0]) / (drawn @ distinct[:, 1])
    else:
        step = max(1, BLOCK // len(sums))
        parts = []
        for start in range(0, resamples, step):
            chosen = draws.integers(0, len(sums), size=(min(step, resamples - start), len(sums)))
            parts.append(sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))
        means = np.concatenate(parts)
    low, high = np.quantile(means, [TAIL, 1 - TAIL])
    return float(low), float(high)


def share_interval(values: ArrayLike, groups: Sequence[object]) -> tuple[float, float]:
    """Return the 95 % Clopper-Pearson interval of a share, at the effective number of rows."""
    sums, sizes = by_group(values, groups)
    count, rows, total = len(sizes), math.fsum(sizes), math.fsum(sums)
    if count < 2:
        return 0.0, 1.0
    share, dependent = total / rows, math.fsum(size * size for size in sizes) / rows
    binomial = share * (1 - share) * rows
    measured = dependent
    if binomial > 0:
        between = math.fsum((sums[index] - share * sizes[index]) ** 2 for index in range(count))
        measured = count / (count - 1) * between / binomial
    rarer = min(total, rows - total) / dependent
    effect = max(1.0, (rarer * measured + dependent) / (rarer + 1))
    effective = rows / effect * (student_quantile(TAIL, rows - 1) / student_quantile(TAIL, count - 1)) ** 2
    hits = share * effective
    low = beta_quantile(TAIL, hits, effective - hits + 1) if share > 0 else 0.0
    high = 1 - beta_quantile(TAIL, effective - hits, hits + 1) if share < 1 else 1.0
    return low, high


def change_interval(changes: ArrayLike, groups: Sequence[object]) -> tuple[float, float]:
    """Return the 95 % interval of a mean paired change (values from -1 to 1), with one group added to either side."""
    sums, sizes = by_group(changes, groups)
    count, rows = len(sizes), math.fsum(sizes)
    size = math.fsum(size * size for size in sizes) / rows
    sums, sizes = np.append(sums, [size, -size]), np.append(sizes, [size, size])
    mean_change = math.fsum(sums) / math.fsum(sizes)
    between = math.fsum((sums - mean_change * sizes) ** 2)
    error = math.sqrt(between * (count + 2) / (count + 1)) / math.fsum(sizes)
    half = -student_quantile(TAIL, count + 1) * error
    return max(mean_change - half, -1.0), min(mean_change + half, 1.0)


def student_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's t distribution for a probability below one half."""
    if degrees < SERIES:
        share = beta_quantile(2 * probability, degrees / 2, 0.5)
        return -math.sqrt(degrees * (1 - share) / share)
    # This close to the normal distribution the share is nearly 1, and its difference from 1 has too few digits.
    normal = NormalDist().inv_cdf(probability)
    terms = (
        normal**3 + normal,
        (5 * normal**5 + 16 * normal**3 + 3 * normal) / 6,
        (3 * normal**7 + 19 * normal**5 + 17 * normal**3 - 15 * normal) / 6,
        (79 * normal**9 + 776 * normal**7 + 1482 * normal**5 - 1920 * normal**3 - 945 * normal) / 360,
    )
    return normal + math.fsum(term / (4 * degrees) ** order for order, term in enumerate(terms, start=1))


@cache
def beta_quantile(probability: float, first: float, second: float) -> float:
    """Return the quantile of the beta distribution, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if beta_share(middle, first, second) < probability:
            low = middle
        else:
            high = middle
    return middle


def beta_share(value: float, first: float, second: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if value > (first + 1) / (first + second + 2):
        return 1 - beta_share(1 - value, second, first)
    whole = first + second
    # Logarithm of value^first (1 - value)^second / B(first, second), by Stirling's formula: no large terms cancel.
    front = first * math.log(value * whole / first) + second * math.log1p((first - value * whole) / second)
    front += (math.log(first) + math.log(second) - math.log(whole) - math.log(2 * math.pi)) / 2
    front += _stirling(whole) - _stirling(first) - _stirling(second)
    upper, lower = 1.0, 1 / (1 - whole * value / (first + 1))
    fraction, step, factor = lower, 0, 0.0
    while abs(factor - 1) > 3e-16 and step < 10_000:
        step += 1
        even = step * (second - step) * value / ((first - 1 + 2 * step) * (first + 2 * step))
        odd = -(first + step) * (whole + step) * value / ((first + 2 * step) * (first + 1 + 2 * step))
        factor = 1.0
        for term in (even, odd):
            upper, lower = 1 + term / upper, 1 / (1 + term * lower)
            factor *= upper * lower
        fraction *= factor
    return math.exp(front) * fraction / first


def _stirling(value: float) -> float:
    """Return the logarithm of the gamma function less Stirling's formula for it."""
    if value < 15:
        return math.lgamma(value) - ((value - 0.5) * math.log(value) - value + math.log(2 * math.pi) / 2)
    square = value * value
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / value


def mcnemar(base: Sequence[bool], changed: Sequence[bool]) -> float:
    """Return the two-sided p value of the exact McNemar test, in integers up to the last division."""
    lost = sum(1 for before, after in zip(base, changed, strict=True) if before and not after)
    won = sum(1 for before, after in zip(base, changed, strict=True) if after and not before)
    return mcnemar_of(min(lost, won), abs(won - lost))


@cache
def mcnemar_of(fewer: int, net: int) -> float:
    """Return McNemar's two-sided p value if `fewer` rows changed one way and `fewer + net` the other."""
    total = 2 * fewer + net
    term = tail = 1
    for index in range(fewer):
        term = term * (total - index) // (index + 1)
        tail += term
    return min(1.0, 2 * tail / 2**total) if total < 1000 else min(1.0, _ratio(2 * tail, total))


def _ratio(top: int, halvings: int) -> float:
    """Return top / 2**halvings without overflow."""
    shift = max(0, top.bit_length() - 64)
    return math.ldexp(float(top >> shift), shift - halvings)


def sign_flip(differences: ArrayLike, groups: Sequence[object], draws: np.random.Generator, resamples: int) -> float:
    """Return the two-sided p value of the paired test that flips the signs of whole groups."""
    sums, _ = by_group(differences, groups)
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    sizes = np.abs(sums)
    bound = abs(float(sums.sum())) - 1e-12 * float(sizes.sum())
    if len(sums) <= ENUMERATED:
        reached = np.zeros(1)
        for size in sums:
            reached = np.concatenate([reached - size, reached + size])
        return float((np.abs(reached) >= bound).mean())
    distinct, counts = np.unique(sizes, return_counts=True)
    if len(distinct) <= DISTINCT:
        plus = draws.binomial(counts, 0.5, size=(resamples, len(distinct)))
        totals = (2 * plus - counts) @ distinct
    else:
        step = max(1, BLOCK // len(sizes))
        parts = []
        for start in range(0, resamples, step):
            signs = draws.integers(0, 2, size=(min(step, resamples - start), len(sizes)), dtype=np.int8)
            parts.append(2 * np.where(signs, sizes, 0.0).sum(axis=1) - float(sizes.sum()))
        totals = np.concatenate(parts)
    return (1 + int((np.abs(totals) >= bound).sum())) / (1 + resamples)


def paired(
    base: Sequence[bool], changed: Sequence[bool], groups: Sequence[object], draws: np.random.Generator, resamples: int
) -> float:
    """Return the p value of a change of accuracy: McNemar's, or `sign_flip`'s if a group has several rows."""
    if len(set(groups)) == len(groups):
        return mcnemar(base, changed)
    return sign_flip([float(b) - float(a) for a, b in zip(base, changed, strict=True)], groups, draws, resamples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-adjusted p values in the given order."""
    p, order = np.array(p_values, dtype=np.float64), np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, (len(p) - np.arange(len(p))) * p[order]))
    return adjusted.tolist()


def shares(texts: Iterable[str]) -> dict[str, float]:
    """Return the share of each stripped text, most common first, ties in alphabetical order."""
    counts = Counter(text.strip() for text in texts)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {text: count / counts.total() for text, count in ordered}


def labels(texts: Sequence[str], options: Sequence[Sequence[str]]) -> list[str]:
    """Return texts; if the rows' options differ from each other, replace each text that is an option by its letter."""
    if len({tuple(offered) for offered in options}) < 2:
        return list(texts)
    pairs = zip(texts, options, strict=True)
    return [chr(ord("A") + list(offered).index(text)) if text in offered else text for text, offered in pairs]


def constants(answers: Sequence[str], with_options: bool) -> list[float]:
    """Return the accuracies of constant answers, percent: of each label if rows have options, else of the commonest."""
    if with_options:
        return [100 * share for share in shares(answers).values()]
    return [100 * max(shares([answer.lower() for answer in answers]).values())]
