"""Closed-form intervals for shares and for paired changes of shares, over groups of dependent rows.

A percentile bootstrap has zero width if all rows are equal, and is too narrow near 0 and 1. `docs/statistics.md` gives
the coverage of both functions as measured by `benchmarks.coverage`. All arguments broadcast, so that many samples can
be bounded at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser.analysis.statistics import CONFIDENCE, group_sums

PRIOR_GROUPS = 1
"""Weight, as a number of groups, of wholly dependent rows in the estimate of the design effect."""

ADDED_GROUPS = 1
"""Groups that are added to each direction of a paired change (Bonett and Price, 2012)."""


def share_interval(values: ArrayLike, groups: Sequence[object] | None = None) -> tuple[float, float]:
    """Return the interval of a share over rows; rows within a group may depend on each other.

    This is Clopper and Pearson's exact interval at the effective number of rows, after Korn and Graubard (1998).

    Args:
        values: (n,) numbers from 0 to 1, one per row.
        groups: n group labels, or None if every row is independent.

    Returns:
        Lower and upper bound, from 0 to 1. A single group says nothing about other groups and gives (0, 1).
    """
    sums, sizes = group_sums(values, groups)
    share = sums.sum() / sizes.sum()
    residuals = ((sums - share * sizes) ** 2).sum()
    low, high = share_bounds(sums.sum(), sizes.sum(), sizes.size, (sizes**2).sum(), residuals)
    return float(low), float(high)


def share_bounds(
    total: ArrayLike,
    rows: ArrayLike,
    groups: ArrayLike,
    squared_sizes: ArrayLike,
    residuals: ArrayLike,
) -> tuple[NDArray, NDArray]:
    """Return the bounds of shares from their sufficient statistics.

    The design effect is the variance over groups divided by that of independent rows, at least 1. If few groups have
    the rarer outcome, it is mostly noise. It is therefore averaged with that of wholly dependent rows, which counts as
    `PRIOR_GROUPS` groups. If no group has the rarer outcome, only the number of groups counts.

    Args:
        total: sum of the values.
        rows: number of rows.
        groups: number of groups.
        squared_sizes: sum over groups of the squared number of rows.
        residuals: sum over groups of (sum − share · rows)².
    """
    from scipy.stats import beta, t

    total, rows, groups, squares, residuals = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (total, rows, groups, squared_sizes, residuals))
    )
    tail, share = (1 - CONFIDENCE) / 2, np.clip(total / rows, 0, 1)
    several = groups > 1
    others = np.where(several, groups - 1, 1)
    dependent = squares / rows
    binomial = share * (1 - share) * rows
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = np.where(binomial > 0, groups / others * residuals / binomial, dependent)
    rarer = np.minimum(total, rows - total) / dependent
    effect = np.maximum(1.0, (rarer * measured + PRIOR_GROUPS * dependent) / (rarer + PRIOR_GROUPS))
    degrees = (t.ppf(tail, np.maximum(rows - 1, 1)) / t.ppf(tail, others)) ** 2
    effective = rows / effect * degrees
    hits = share * effective
    misses = effective - hits
    tiny = np.finfo(np.float64).tiny
    low = np.where(several & (share > 0), beta.ppf(tail, np.maximum(hits, tiny), misses + 1), 0.0)
    high = np.where(several & (share < 1), beta.ppf(1 - tail, hits + 1, np.maximum(misses, tiny)), 1.0)
    return low, high


def change_interval(changes: ArrayLike, groups: Sequence[object] | None = None) -> tuple[float, float]:
    """Return the interval of the mean of paired changes; rows within a group may depend on each other.

    Args:
        changes: (n,) numbers from −1 (right, then wrong) to 1 (wrong, then right), one per row.
        groups: n group labels, or None if every row is independent.
    """
    sums, sizes = group_sums(changes, groups)
    low, high = change_bounds(
        sums.sum(), sizes.sum(), sizes.size, (sizes**2).sum(), (sums**2).sum(), (sums * sizes).sum()
    )
    return float(low), float(high)


def change_bounds(
    total: ArrayLike,
    rows: ArrayLike,
    groups: ArrayLike,
    squared_sizes: ArrayLike,
    squared_sums: ArrayLike,
    products: ArrayLike,
) -> tuple[NDArray, NDArray]:
    """Return the bounds of mean paired changes from their sufficient statistics.

    This is Bonett and Price's adjusted interval: a group that gets better and one that gets worse are added to the
    sample, so that the interval has a positive width even if no row changes. The variance is over groups, and the
    quantile is Student's.

    Args:
        total: sum of the changes.
        rows: number of rows.
        groups: number of groups.
        squared_sizes: sum over groups of the squared number of rows.
        squared_sums: sum over groups of the squared sum of changes.
        products: sum over groups of sum times number of rows.
    """
    from scipy.stats import t

    total, rows, groups, squares, squared_sums, products = (
        np.asarray(value, dtype=np.float64) for value in (total, rows, groups, squared_sizes, squared_sums, products)
    )
    added, size = ADDED_GROUPS, squares / rows
    all_rows, all_groups = rows + 2 * added * size, groups + 2 * added
    mean = total / all_rows
    spread = squared_sums - 2 * mean * products + mean**2 * squares
    spread = spread + added * size**2 * ((1 - mean) ** 2 + (1 + mean) ** 2)
    error = np.sqrt(np.maximum(spread, 0) * all_groups / (all_groups - 1)) / all_rows
    half = t.ppf((1 + CONFIDENCE) / 2, all_groups - 1) * error
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)
