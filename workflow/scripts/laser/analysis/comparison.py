"""Comparison of two arms on the same rows: both values and their difference with intervals, and a paired test."""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser.analysis.intervals import change_interval, share_interval
from laser.analysis.statistics import (
    RESAMPLES,
    accuracy_p_value,
    bootstrap_interval,
    holm,
    seed_sequence,
    sign_flip_p_value,
)
from laser.analysis.tables import integer, number, p_value

ESTIMATE = ("value", "low", "high")
DIFFERENCE = ("difference", "difference_low", "difference_high", "p_value")
COMPARISON = (
    *("n", "groups", "base", "base_low", "base_high", "laser", "laser_low", "laser_high"),
    *(*DIFFERENCE, "p_holm"),
)
"""Columns that all comparison tables share: what `compare` returns, and `p_holm`, which `adjust` adds."""

_BLOCK = 4_000_000


def scale(values: ArrayLike, truth: bool) -> NDArray:
    """Return (n,) float64: percent (0 or 100) per row for booleans, otherwise the numbers unchanged."""
    return np.asarray(values, dtype=np.float64) * (100.0 if truth else 1.0)


def with_values(groups: Sequence[object], *arms: NDArray) -> tuple[Any, ...]:
    """Return the arms, then the group labels, without the rows that lack a finite value in any arm.

    These are rows on which the model overflowed: they count as wrong and have no loss.
    """
    finite = np.logical_and.reduce([np.isfinite(arm) for arm in arms])
    kept = [group for group, keep in zip(groups, finite, strict=True) if keep]
    return (*(arm[finite] for arm in arms), kept)


def estimate(
    values: ArrayLike,
    groups: Sequence[object],
    names: Sequence[str],
    *,
    truth: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, float]:
    """Return mean and 95 % interval of one arm, as `value`, `low`, `high`, over the rows that have a value.

    The interval is in closed form for shares (`laser.analysis.intervals`) and a percentile bootstrap for other means.

    Args:
        values: (n,) booleans (`truth`) or numbers, one per row.
        groups: n group labels; whole groups are resampled.
        names: names that identify the quantity. Arms with equal names and equal rows get the same interval.
        truth: True for booleans, which are given in percent.
        seed: seed of the study.
        resamples: number of bootstrap resamples.
    """
    measured, groups = with_values(groups, scale(values, truth))
    if not len(measured):
        return dict.fromkeys(ESTIMATE, math.nan)
    if truth:
        low, high = (100 * bound for bound in share_interval(measured / 100, groups))
    else:
        stream = seed_sequence(seed, *names, "interval")
        low, high = bootstrap_interval(measured, groups, seed=stream, resamples=resamples)
    return {"value": float(measured.mean()), "low": low, "high": high}


def difference(
    base: ArrayLike,
    changed: ArrayLike,
    groups: Sequence[object],
    names: Sequence[str],
    *,
    truth: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, float]:
    """Return changed minus base with its 95 % interval and the p value of the paired test (keys `DIFFERENCE`).

    Rows without a value in one of the arms are left out; values are NaN if no row is left.

    Args:
        base: (n,) booleans (`truth`) or numbers, one per row.
        changed: the same rows in the other arm.
        groups: n group labels.
        names: names that identify the quantity; each quantity draws from its own random stream.
        truth: True for booleans: the difference is then in points, and the test is the one for accuracies.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.
    """
    change, kept = with_values(groups, scale(changed, truth) - scale(base, truth))
    if not len(change):
        return dict.fromkeys(DIFFERENCE, math.nan)
    stream = seed_sequence(seed, *names, "test")
    if truth:
        low, high = (100 * bound for bound in change_interval(change / 100, kept))
        p_value = accuracy_p_value(base, changed, groups, seed=stream, resamples=resamples)
    else:
        p_value = sign_flip_p_value(change, kept, seed=stream, resamples=resamples)
        stream = seed_sequence(seed, *names, "difference")
        low, high = bootstrap_interval(change, kept, seed=stream, resamples=resamples)
    return dict(zip(DIFFERENCE, (float(change.mean()), low, high, p_value), strict=True))


def compare(
    base: ArrayLike,
    laser: ArrayLike,
    groups: Sequence[object],
    names: Sequence[str],
    *,
    truth: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return both arms and their difference: the keys of `COMPARISON` except `p_holm`. Arguments as in `difference`.

    All values are computed over the `n` rows that have a value in both arms.
    """
    settings: dict[str, Any] = {"truth": truth, "seed": seed, "resamples": resamples}
    if not truth:
        base, laser, groups = with_values(groups, scale(base, truth), scale(laser, truth))
    comparison: dict[str, Any] = {"n": len(groups), "groups": len(set(groups))}
    for arm, values in (("base", base), ("laser", laser)):
        interval = estimate(values, groups, names, **settings)
        comparison |= {arm: interval["value"], f"{arm}_low": interval["low"], f"{arm}_high": interval["high"]}
    return comparison | difference(base, laser, groups, names, **settings)


def adjust(rows: Iterable[MutableMapping[str, Any]], source: str = "p_value", target: str = "p_holm") -> None:
    """Add Holm-adjusted p values in place, over all tests of one protocol; rows without a p value get NaN."""
    listed = list(rows)
    for row in listed:
        row[target] = math.nan
    for protocol in {row["protocol"] for row in listed}:
        tested = [row for row in listed if row["protocol"] == protocol and not math.isnan(row[source])]
        for row, adjusted in zip(tested, holm([row[source] for row in tested]), strict=True):
            row[target] = adjusted


def resampled_ratios(
    numerators: ArrayLike, denominators: ArrayLike, *, seed: int | Sequence[int], resamples: int = RESAMPLES
) -> NDArray:
    """Draw the bootstrap distribution of Σ numerators / Σ denominators, resampling units with replacement.

    Args:
        numerators: (units, arms) or (units,) sums; all arms are resampled together.
        denominators: (units,) sizes, positive.
        seed: for `numpy.random.default_rng`.
        resamples: number of draws.

    Returns:
        (resamples, arms) or (resamples,) float64.
    """
    top, sizes = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    generator, count = np.random.default_rng(seed), len(sizes)
    parts = []
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        weights = generator.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))
        divisor = weights @ sizes
        parts.append((weights @ top) / (divisor[:, None] if top.ndim == 2 else divisor))
    return np.concatenate(parts)


def difference_bounds(first: Any, second: Any, value: str, other: str = "") -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares from their own intervals (Newcombe's method, 1998).

    It assumes independent shares; for positively correlated shares it is wider than necessary.

    Args:
        first: mapping that holds a share under `value` and its bounds under `<value>_low` and `<value>_high`.
        second: the same for the share to subtract; may be the same mapping.
        value: name of the share.
        other: name of the second share, if it differs.
    """
    other = other or value
    change = first[value] - second[other]
    below = math.hypot(first[value] - first[f"{value}_low"], second[f"{other}_high"] - second[other])
    above = math.hypot(first[f"{value}_high"] - first[value], second[other] - second[f"{other}_low"])
    return change - below, change + above


def with_interval(row: Any, places: int, value: str, sign: bool = False, low: str = "", high: str = "") -> str:
    """Format a value with its interval, `12.3 [11.0, 13.6]`; return an empty string if there is no value.

    Args:
        row: mapping that holds the value under `value` and its bounds under `<value>_low` and `<value>_high`.
        places: number of decimals.
        value: name of the value.
        sign: True to write a plus sign.
        low: name of the lower bound, if it differs from `<value>_low`.
        high: name of the upper bound, if it differs from `<value>_high`.
    """
    if not number(row[value], places):
        return ""
    bounds = [number(row[name], places, sign) for name in (low or f"{value}_low", high or f"{value}_high")]
    text = number(row[value], places, sign)
    return f"{text} [{bounds[0]}, {bounds[1]}]" if all(bounds) else text


NOTES = (
    "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
    "p: paired test of LASER against base, adjusted by Holm's method over the table's tests of one protocol.",
)
"""Notes below every comparison table."""


def comparison_cells(row: Any) -> list[str]:
    """Format a comparison in percent: base, LASER, their difference in points, p after Holm's correction, and n."""
    shares = [with_interval(row, 1, "base"), with_interval(row, 1, "laser")]
    return [*shares, with_interval(row, 1, "difference", sign=True), p_value(row["p_holm"]), integer(row["n"])]
