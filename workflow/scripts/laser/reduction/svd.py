"""The exact thin singular value decomposition of a weight matrix, checked, and what follows from its spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch

from laser.errors import UserError

RESIDUAL_BOUND = 1e-5
ORTHOGONALITY_BOUND = 1e-4


@dataclass(frozen=True)
class Factors:
    """W = u · diag(s) · vt, with d = min(m, n).

    Attributes:
        u: (m, d) fp32, orthonormal columns.
        s: (d,) fp32, not increasing.
        vt: (d, n) fp32, orthonormal rows.
    """

    u: torch.Tensor
    s: torch.Tensor
    vt: torch.Tensor


def kept_rank(rho: float, shape: Sequence[int]) -> int:
    """Return ⌊ρ·min(m, n)⌋, computed in decimal so that 0.29·100 is 29 (paper section 4).

    Raises:
        UserError: ρ is not in [0, 1].
    """
    if not 0 <= rho <= 1:
        raise UserError(f"the rho {rho} is not a fraction of the maximum rank: give a number from 0 to 1.")
    return math.floor(Decimal(repr(float(rho))) * min(shape))


def exact_svd(weight: torch.Tensor) -> Factors:
    """Decompose a matrix (m, n) exactly, in fp32, on its own device.

    On the CPU LAPACK's divide and conquer; on CUDA the fastest driver whose result meets `within_bounds`, else the CPU
    (in fp64 if need be; the factors are fp32 in any case). The sign of each component is fixed (the entry of u with the
    largest magnitude is positive), so that equal input gives equal factors.

    Raises:
        UserError: the matrix holds NaN or infinity, or no driver meets the bounds.
    """
    matrix = weight.detach().to(torch.float32)
    if not torch.isfinite(matrix).all():
        raise UserError("a weight matrix holds NaN or infinity: the checkpoint is damaged. Delete and fetch it again.")
    found: dict[str, float] | None = None
    for device, dtype, driver in _attempts(matrix.device):
        try:
            u, s, vt = torch.linalg.svd(matrix.to(device, dtype), full_matrices=False, driver=driver)
        except torch.linalg.LinAlgError:
            continue
        places = u.abs().argmax(dim=0)
        signs = torch.where(u.gather(0, places[None])[0] < 0, -1.0, 1.0)
        factors = Factors(*(part.to(matrix) for part in (u * signs, s, vt * signs[:, None])))
        found = check(factors, matrix)
        if within_bounds(found):
            return factors
    raise UserError(
        f"the decomposition of a {tuple(matrix.shape)} matrix does not converge or misses its bounds (residual "
        f"{RESIDUAL_BOUND:g}, orthogonality {ORTHOGONALITY_BOUND:g}): {found}. Check the checkpoint's weights."
    )


def _attempts(device: torch.device) -> Iterator[tuple[torch.device, torch.dtype, str | None]]:
    """Yield (device, dtype, driver) from the fastest to the surest; drivers can be named on CUDA alone."""
    if device.type == "cuda":
        yield from ((device, torch.float32, driver) for driver in ("gesvdj", "gesvd"))
    cpu = torch.device("cpu")
    yield from ((cpu, dtype, None) for dtype in (torch.float32, torch.float64))


def check(factors: Factors, weight: torch.Tensor) -> dict[str, float]:
    """Return the relative residual ‖W − UΣVᵀ‖/‖W‖ (Frobenius) and the largest entries of |UᵀU − I| and |VᵀV − I|."""
    matrix = weight.to(torch.float32)
    norm = float(torch.linalg.norm(matrix))
    residual = float(torch.linalg.norm(matrix - (factors.u * factors.s) @ factors.vt))
    unit = torch.eye(len(factors.s), device=factors.s.device)
    return {
        "residual": residual / norm if norm else residual,
        "orthogonality_u": float((factors.u.T @ factors.u - unit).abs().max()),
        "orthogonality_v": float((factors.vt @ factors.vt.T - unit).abs().max()),
    }


def within_bounds(found: dict[str, float]) -> bool:
    """Tell whether a checked decomposition is accurate enough to be used."""
    return (
        found["residual"] <= RESIDUAL_BOUND
        and max(found["orthogonality_u"], found["orthogonality_v"]) <= ORTHOGONALITY_BOUND
    )


def retained_energy(s: torch.Tensor, kept: int) -> float:
    """Return the share of the sum of squared singular values that the first `kept` hold."""
    squares = s.double() ** 2
    total = float(squares.sum())
    return float(squares[:kept].sum()) / total if total else 1.0


def effective_rank(s: torch.Tensor) -> float:
    """Return exp of the entropy of the singular values over their sum (Roy and Vetterli 2007; paper Figure 7)."""
    shares = s.double() / s.double().sum()
    shares = shares[shares > 0]
    return float(torch.exp(-(shares * shares.log()).sum())) if len(shares) else 0.0
