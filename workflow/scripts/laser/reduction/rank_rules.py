"""Ranks that a matrix's own singular values suggest, without any evaluation: above the noise's edge, and effective."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EDGE, EFFECTIVE = "edge", "effective_rank"
RULES = (EDGE, EFFECTIVE)
_POINTS = 200_000


@functools.cache
def median_of_noise(ratio: float) -> float:
    """Return the median of Marchenko and Pastur's law: of the eigenvalues of XXᵀ/n, X (m, n) of unit variance.

    Args:
        ratio: m/n, above 0 and at most 1.
    """
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    # With x = low + (high - low) sin² t the density, sqrt((high - x)(x - low)) / (2 pi ratio x), has no singular ends.
    step = np.pi / 2 / _POINTS
    middles = (np.arange(_POINTS) + 0.5) * step
    x = low + (high - low) * np.sin(middles) ** 2
    share = np.cumsum((high - low) ** 2 * (np.sin(middles) * np.cos(middles)) ** 2 / (np.pi * ratio * x)) * step
    angle = np.interp(0.5, share, middles + step / 2)
    return float(low + (high - low) * np.sin(angle) ** 2)


def edge(values: ArrayLike, shape: Sequence[int]) -> float:
    """Return the largest singular value that noise alone would have in a matrix of this shape (Marchenko-Pastur).

    The noise's standard deviation is estimated from the median singular value, y / sqrt(n μ), which few strong
    components hardly move (Gavish and Donoho 2014, arXiv 1305.5870, section III-E); the edge is that times (√m + √n).

    Args:
        values: all min(m, n) singular values.
        shape: (m, n).
    """
    small, large = sorted(shape)
    return float(noise(values, shape) * (small**0.5 + large**0.5))


def noise(values: ArrayLike, shape: Sequence[int]) -> float:
    """Return the standard deviation of the noise, from the median singular value; arguments as in `edge`."""
    small, large = sorted(shape)
    return float(np.median(_numbers(values)) / (large * median_of_noise(small / large)) ** 0.5)


def describe(values: ArrayLike, shape: Sequence[int]) -> dict[str, Any]:
    """Return what the spectrum of a matrix (m, n) says, ready for JSON.

    Returns:
        `shape`; `median` singular value; `noise`, `edge`; `above`, how many singular values lie above the edge, and
        `share_above`, their share of the sum of squares; `effective_rank` (Roy and Vetterli 2007: exp of the entropy of
        the singular values over their sum). All but the shape are 0 for a matrix of zeros.
    """
    numbers = _numbers(values)
    bound = edge(numbers, shape)
    above = numbers > bound
    squares, shares = numbers**2, numbers[numbers > 0] / (numbers.sum() or 1.0)
    return {
        "shape": list(shape),
        "median": float(np.median(numbers)),
        "noise": noise(numbers, shape),
        "edge": bound,
        "above": int(above.sum()),
        "share_above": float(squares[above].sum() / (squares.sum() or 1.0)),
        "effective_rank": float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0,
    }


def ranks(described: Mapping[str, Any]) -> dict[str, float]:
    """Return the rank that each rule of `RULES` would keep; the effective rank need not be whole."""
    return {EDGE: float(described["above"]), EFFECTIVE: float(described["effective_rank"])}


def nearest_rho(rank: float, shape: Sequence[int], rhos: Sequence[float]) -> float:
    """Return the value of ρ among `rhos` that is nearest to a rank of a matrix (m, n); in a tie, the smaller."""
    return min(sorted(rhos), key=lambda rho: abs(rho - rank / min(shape)))


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
