"""The record of a reduction (layer, rho): what is kept of every matrix, and the accuracy of its decomposition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from laser.errors import UserError
from laser.reduction.edit import low_rank_factors
from laser.reduction.interventions import kept_rank
from laser.reduction.svd import (
    ORTHOGONALITY_BOUND,
    RESIDUAL_BOUND,
    Factors,
    check,
    effective_rank,
    frobenius,
    retained_energy,
)

BYTES_PER_VALUE = 4


def records(
    weights: Mapping[str, torch.Tensor],
    factors: Mapping[str, Factors],
    rho: float,
    checks: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return the record of one rho for the matrices of one layer, ready for JSON.

    Args:
        weights: logical name to matrix (m, n).
        factors: logical name to its full thin SVD, on the same device.
        rho: ρ, in [0, 1].
        checks: the result of `laser.reduction.svd.check` per matrix; it does not depend on ρ, so a caller with several
            values of ρ computes it once. Computed here if not given.

    Returns:
        `rho`, and `matrices`: logical name to `matrix_record`.

    Raises:
        UserError: the factors are not those of the matrix.
    """
    return {
        "rho": rho,
        "matrices": {
            name: matrix_record(name, weight, factors[name], rho, (checks or {}).get(name))
            for name, weight in weights.items()
        },
    }


def matrix_record(
    name: str, weight: torch.Tensor, factors: Factors, rho: float, checked: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return what is kept of one matrix (m, n) at one rho.

    Returns:
        `shape` [m, n]; `kept_rank` k; `retained_energy` (share of the sum of squared singular values);
        `effective_rank` of the full matrix; `relative_residual` ‖W − W_k‖/‖W‖ (Frobenius) from the spectrum, and
        `relative_residual_measured` on the product itself; `parameters` mn and `parameters_factored` k(m + n);
        `bytes_dense` and `bytes_factored`, the same in fp32; `residual`, `orthogonality_u` and `orthogonality_v` of the
        full decomposition.

    Raises:
        UserError: the measured residual is not that of the spectrum: the factors are another matrix's, or damaged.
    """
    rows, columns = weight.shape
    kept = kept_rank(rho, weight.shape)
    expected, measured = residuals(weight, factors, kept)
    checked = dict(checked or check(factors, weight))
    bound = RESIDUAL_BOUND + ORTHOGONALITY_BOUND
    if not abs(expected - measured) <= bound:
        raise UserError(
            f"the factors stored for the matrix '{name}' do not belong to it: at rho {rho} they leave a relative "
            f"residual of {measured:.3g}, their spectrum gives {expected:.3g} (allowed difference {bound:g}). "
            "Delete the folder of factors in the cache and run again to compute them again."
        )
    return {
        "shape": [rows, columns],
        "kept_rank": kept,
        "retained_energy": retained_energy(factors.s, kept),
        "effective_rank": effective_rank(factors.s),
        "relative_residual": expected,
        "relative_residual_measured": measured,
        "parameters": rows * columns,
        "parameters_factored": kept * (rows + columns),
        "bytes_dense": BYTES_PER_VALUE * rows * columns,
        "bytes_factored": BYTES_PER_VALUE * kept * (rows + columns),
        **checked,
    }


def residuals(weight: torch.Tensor, factors: Factors, kept: int) -> tuple[float, float]:
    """Return ‖W − W_k‖/‖W‖ (Frobenius) twice: as the dropped singular values give it, and measured on the product.

    Both are 0 for a matrix of zeros.
    """
    squares = factors.s.double() ** 2
    total = float(squares.sum())
    expected = math.sqrt(float(squares[kept:].sum()) / total) if total else 0.0
    left, right = low_rank_factors(factors, kept)
    matrix = weight.to(torch.float32)
    norm = frobenius(matrix)
    measured = frobenius(matrix - left @ right)
    return expected, measured / norm if norm else measured
