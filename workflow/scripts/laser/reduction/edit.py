"""What each kind of intervention makes of a weight matrix."""

from __future__ import annotations

import math
from decimal import Decimal

import torch

from laser.errors import UserError
from laser.reduction.interventions import Intervention
from laser.reduction.svd import Factors, check_finite, kept_rank

NEEDS_FACTORS = ("svd", "smallest")


def low_rank_factors(factors: Factors, kept: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (m, k) and (k, n) whose product is the best rank-k approximation."""
    return factors.u[:, :kept] * factors.s[:kept], factors.vt[:kept]


def edited_weight(weight: torch.Tensor, intervention: Intervention, factors: Factors | None = None) -> torch.Tensor:
    """Return the edited matrix (m, n) in fp32.

    Kinds (see `Intervention`): svd, smallest (need `factors`), randomised, pruning, zero. A kept rank of 0 gives zeros.
    """
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
    """The released low-rank step: no oversampling, with the CPU's generator seeded directly before.

    The random test matrix comes from the CPU's generator on every device, so that results do not depend on the device
    beyond rounding; on CUDA the products are made there, and on the CPU too where LAPACK's SVD does not converge.

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
    """Return what the released code makes of a matrix on the CPU."""
    torch.manual_seed(intervention.seed)
    u, s, v = torch.svd_lowrank(matrix, q=kept, niter=intervention.niter)
    return (u * s) @ v.T


def randomised_range(matrix: torch.Tensor, kept: int, niter: int) -> torch.Tensor:
    """Return what `torch.svd_lowrank`'s factors multiply to, from the same random numbers, without its last SVD.

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


def pruning_place(rho: float, count: int) -> int:
    """Return ⌊(1 − ρ)·count⌋: where the threshold stands among `count` sorted magnitudes, counted from 0."""
    return math.floor((1 - Decimal(repr(float(rho)))) * count)


def _prune(matrix: torch.Tensor, rho: float) -> torch.Tensor:
    """The released pruning: all magnitudes up to the threshold become 0, itself too. ρ = 1 changes nothing."""
    place = pruning_place(rho, matrix.numel())
    if rho >= 1:
        return matrix.clone()
    if place >= matrix.numel():
        return torch.zeros_like(matrix)
    threshold = matrix.abs().flatten().kthvalue(place + 1).values
    return torch.where(matrix.abs() <= threshold, 0.0, matrix)
