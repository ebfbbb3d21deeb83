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
    effective_rank,
    frobenius,
    retained_energy,
)

BYTES_PER_VALUE = 4


def matrix_record(
    name: str, weight: torch.Tensor, factors: Factors, rho: float, checked: Mapping[str, float]
) -> dict[str, Any]:
    """Return what is kept of one matrix at one rho, ready for JSON.

    Args:
        name: the matrix's logical name, for messages.
        weight: the matrix (m, n).
        factors: its full thin SVD, on the same device.
        rho: ρ, in [0, 1].
        checked: what `laser.reduction.svd.check` says of the two; it does not depend on ρ.

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
