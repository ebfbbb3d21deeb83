"""Intervals over few and unequal clusters of rows, such as a dataset's templates or answers.

The closed forms of `laser.analysis.intervals` are for many small groups. A dataset has few templates, and many of its
rows can share an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser.analysis.statistics import CONFIDENCE, group_sums

_LEAST_VARIANCE = 0.1


def cluster_interval(values: ArrayLike, clusters: Sequence[object]) -> tuple[float, float]:
    """Return the interval of a mean over rows, treating the clusters as a sample from a population of clusters.

    This is the jackknife over clusters, with Student's quantile. Its degrees of freedom are one less than the number of
    clusters of equal size that would carry as much information, so one large cluster widens the interval.

    Args:
        values: (n,) numbers, one per row.
        clusters: n labels.

    Returns:
        Lower and upper bound, in the unit of `values`; (NaN, NaN) for fewer than two clusters.
    """
    from scipy.stats import t

    sums, sizes = group_sums(values, clusters)
    if sums.size < 2:
        return math.nan, math.nan
    mean = sums.sum() / sizes.sum()
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    error = math.sqrt((sums.size - 1) / sums.size * float(((without - mean) ** 2).sum()))
    half = float(t.ppf((1 + CONFIDENCE) / 2, max(effective_clusters(sizes) - 1, 1.0))) * error
    return float(mean - half), float(mean + half)


def effective_clusters(sizes: ArrayLike) -> float:
    """Return the number of clusters of equal size that carry as much information as clusters of these sizes."""
    rows = np.asarray(sizes, dtype=np.float64)
    return float(rows.sum() ** 2 / (rows**2).sum())


def between_clusters(
    values: ArrayLike, clusters: Sequence[object], groups: Sequence[object]
) -> tuple[float, float, float]:
    """Return the standard deviation between the true means of clusters, with its interval.

    The rows of a group may belong to several clusters (the phrasings of a fact to several templates), which makes the
    cluster means dependent.

    Args:
        values: (n,) numbers, one per row.
        clusters: n cluster labels.
        groups: n labels of groups of dependent rows.
    """
    array = np.asarray(values, dtype=np.float64)
    rows, columns = (np.unique(np.asarray(labels, dtype=str), return_inverse=True)[1] for labels in (groups, clusters))
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    sums, sizes = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (rows, columns), array)
    np.add.at(sizes, (rows, columns), 1.0)
    means = sums.sum(axis=0) / sizes.sum(axis=0)
    residuals = (sums - means * sizes) / sizes.sum(axis=0)
    return spread(means, residuals.T @ residuals * shape[0] / max(shape[0] - 1, 1))


def spread(means: NDArray, covariance: NDArray) -> tuple[float, float, float]:
    """Return the standard deviation between true means, and its interval, from estimates of the means.

    These are the values at which the generalised Cochran's Q statistic equals its expectation, and its quantiles, under
    the chi-squared distribution (Viechtbauer, 2007). The lower bound is 0 if equal means are compatible with the
    estimates. All values are NaN for fewer than two estimates.

    Args:
        means: (k,) estimates.
        covariance: (k, k) covariance of the estimates' errors.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2

    count = len(means)
    if count < 2:
        return math.nan, math.nan, math.nan
    variances = np.diag(covariance)
    if not (variances > 0).any():
        return 0.0, 0.0, 0.0
    # A cluster in which nothing changed has no variance of its own: it gets the smallest positive one. With few groups
    # the matrix is nearly singular: no contrast is taken to be far more certain than the most certain cluster.
    least = variances[variances > 0].min()
    values, vectors = np.linalg.eigh(covariance + np.diag(np.where(variances > 0, 0.0, least)))
    values = np.maximum(values, _LEAST_VARIANCE * least)
    along, ones = vectors.T @ means, vectors.T @ np.ones(count)

    def statistic(variance: float) -> float:
        weights = 1 / (values + variance)
        centred = along - ones * float((weights * ones) @ along) / float(weights @ ones**2)
        return float(weights @ centred**2)

    def solution(target: float) -> float:
        if statistic(0.0) <= target:
            return 0.0
        highest = 1.0
        while statistic(highest) > target:
            highest *= 4
        return math.sqrt(brentq(lambda variance: statistic(variance) - target, 0.0, highest))

    quantiles = chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], count - 1)
    low, high = (solution(float(target)) for target in quantiles)
    return solution(count - 1.0), low, high


@dataclass(frozen=True)
class Mean:
    """The mean of true effects, with its interval.

    Attributes:
        value: the mean.
        low: lower bound of its interval.
        high: upper bound of its interval.
        spread: standard deviation between the true effects, with the bounds of its interval; NaN for a single effect.
    """

    value: float
    low: float
    high: float
    spread: tuple[float, float, float]


def random_effects(estimates: ArrayLike, errors: ArrayLike) -> Mean:
    """Return the mean of the population of effects from which the estimated effects are drawn.

    Weights come from the errors and the spread (Paule and Mandel's estimate); the interval is Hartung and Knapp's with
    Student's quantile. Estimates on the same rows may have a common error, which their differences do not show. The
    mean error is therefore added to the interval in quadrature, as if the errors were all common.

    Args:
        estimates: (k,) estimates, at least one. The interval for a single estimate is for that effect only.
        errors: (k,) standard errors of the estimates.
    """
    from scipy.stats import norm, t

    values, deviations = np.asarray(estimates, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    between = spread(values, np.diag(deviations**2))
    positive = deviations[deviations > 0]
    # As in `spread`: an estimate without an error of its own gets the smallest positive one.
    variances = (
        np.where(deviations > 0, deviations, positive.min() if positive.size else 1.0) ** 2
        + np.nan_to_num(between[0]) ** 2
    )
    weights = (1 / variances) / (1 / variances).sum()
    mean, alike = float(weights @ values), norm.ppf((1 + CONFIDENCE) / 2) * float(weights @ deviations)
    half = 0.0
    if values.size > 1:
        error = math.sqrt(float(weights @ (values - mean) ** 2) / (values.size - 1))
        half = float(t.ppf((1 + CONFIDENCE) / 2, values.size - 1)) * error
    return Mean(mean, mean - math.hypot(half, alike), mean + math.hypot(half, alike), between)
