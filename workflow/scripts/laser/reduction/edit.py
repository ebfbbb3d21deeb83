"""The edited weight matrix for each kind of intervention."""

from __future__ import annotations

import math
from decimal import Decimal

import torch

from laser.errors import UserError
from laser.reduction.interventions import Intervention, Replacement, kept_rank
from laser.reduction.svd import Factors, check_finite

NEEDS_FACTORS = ("svd", "smallest")


def low_rank_factors(factors: Factors, kept: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factors (m, k) and (k, n) whose product is the best rank-k approximation."""
    return factors.u[:, :kept] * factors.s[:kept], factors.vt[:kept]


def edited_weight(weight: torch.Tensor, intervention: Intervention, factors: Factors | None = None) -> torch.Tensor:
    """Return the edited matrix (m, n) in fp32.

    Kinds (see `Intervention`): svd, smallest (need `factors`), randomised, pruning, zero. A kept rank of 0 gives zeros.
    A `Replacement` brings its own matrix.
    """
    if isinstance(intervention, Replacement):
        return intervention.weight.to(weight.device, torch.float32)
    matrix = weight.detach().to(torch.float32)
    kept = kept_rank(intervention.rho, matrix.shape)
    if intervention.kind == "zero":
        return torch.zeros_like(matrix)
    if intervention.kind == "pruning":
        return _prune(matrix, intervention.rho)
    if intervention.kind == "randomised":
        return _randomised(matrix, kept, intervention)
    if factors is None:
        raise ValueError(f"an intervention of kind {intervention.kind} needs the matrix's factors")
    if intervention.kind == "smallest":
        start = len(factors.s) - kept
        return (factors.u[:, start:] * factors.s[start:]) @ factors.vt[start:]
    left, right = low_rank_factors(factors, kept)
    return left @ right


def _randomised(matrix: torch.Tensor, kept: int, intervention: Intervention) -> torch.Tensor:
    """Return the released low-rank step: no oversampling, with the CPU's generator seeded directly before.

    The random test matrix comes from the CPU's generator on every device, so that results depend on the device only
    through rounding. On CUDA `randomised_range` computes the product; on the CPU it does so if LAPACK's SVD does not
    converge.

    Raises:
        UserError: the matrix holds NaN or infinity, or the product does.
    """
    check_finite(matrix)
    with torch.random.fork_rng(devices=[]):
        try:
            product = None if matrix.is_cuda else _released(matrix, kept, intervention)
        except torch.linalg.LinAlgError:
            product = None
        if product is None:
            torch.manual_seed(intervention.seed)
            product = randomised_range(matrix, kept, intervention.niter)
    if not torch.isfinite(product).all():
        raise UserError(
            f"the randomised low-rank step overflows on a {tuple(matrix.shape)} matrix whose largest entry is "
            f"{float(matrix.abs().max()):.3g}. Check the checkpoint's weights."
        )
    return product


def _released(matrix: torch.Tensor, kept: int, intervention: Intervention) -> torch.Tensor:
    """Return the result of the released code on the CPU."""
    torch.manual_seed(intervention.seed)
    u, s, v = torch.svd_lowrank(matrix, q=kept, niter=intervention.niter)
    return (u * s) @ v.T


def randomised_range(matrix: torch.Tensor, kept: int, niter: int) -> torch.Tensor:
    """Return the product of `torch.svd_lowrank`'s factors, from the same random numbers, without its last SVD.

    Its factors are those of QᵀW for an orthonormal basis Q of the range (Halko, Martinsson and Tropp 2011, algorithms
    4.4 and 5.1, as torch has them), so that their product is Q·QᵀW.
    """
    if kept == 0:
        return torch.zeros_like(matrix)
    transposed = matrix.shape[0] < matrix.shape[1]
    tall = matrix.T if transposed else matrix
    draw = torch.randn(tall.shape[1], kept, dtype=tall.dtype).to(matrix.device)
    basis = torch.linalg.qr(tall @ draw).Q
    for _ in range(niter):
        basis = torch.linalg.qr(tall.T @ basis).Q
        basis = torch.linalg.qr(tall @ basis).Q
    product = basis @ (basis.T @ tall)
    return product.T.contiguous() if transposed else product


def pruning_index(rho: float, count: int) -> int:
    """Return ⌊(1 − ρ)·count⌋: the index of the threshold among `count` sorted magnitudes, counted from 0."""
    return math.floor((1 - Decimal(repr(float(rho)))) * count)


def _prune(matrix: torch.Tensor, rho: float) -> torch.Tensor:
    """Return the released pruning: all magnitudes up to and including the threshold become 0. ρ = 1 changes nothing."""
    threshold_index = pruning_index(rho, matrix.numel())
    if rho >= 1:
        return matrix.clone()
    if threshold_index >= matrix.numel():
        return torch.zeros_like(matrix)
    threshold = matrix.abs().flatten().kthvalue(threshold_index + 1).values
    return torch.where(matrix.abs() <= threshold, 0.0, matrix)
