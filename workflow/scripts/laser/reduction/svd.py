"""The exact thin singular value decomposition of a weight matrix, checked, and what follows from its spectrum."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from laser.errors import UserError

RESIDUAL_BOUND = 1e-5
ORTHOGONALITY_BOUND = 1e-4
SAFE_NORMS = (1e-15, 1e15)
"""If a matrix's norm in fp32 lies between these, no significant square was lost to underflow or overflow."""


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


def exact_svd(weight: torch.Tensor) -> Factors:
    """Decompose a matrix (m, n) exactly, in fp32, on its own device.

    The CPU uses LAPACK's divide and conquer. CUDA tries the eigenvectors of the Gram matrix in fp64, then QR
    iteration (gesvd), then the CPU with all its threads, and takes the first result that meets `within_bounds`
    (docs/gpu.md has the times of each). The sign of each component is fixed (the entry of u with the largest magnitude
    is positive), so that equal input gives equal factors.

    Raises:
        UserError: the matrix holds NaN or infinity, or no method meets the bounds.
    """
    matrix = weight.detach().to(torch.float32)
    check_finite(matrix)
    checked: dict[str, float] | None = None
    for method in _methods(matrix.device):
        try:
            u, s, vt = method(matrix)
        except (torch.linalg.LinAlgError, torch.OutOfMemoryError):
            continue
        largest = u.abs().argmax(dim=0)
        signs = torch.where(u.gather(0, largest[None])[0] < 0, -1.0, 1.0)
        factors = Factors(*(part.to(matrix) for part in (u * signs, s, vt * signs[:, None])))
        checked = check(factors, matrix)
        if within_bounds(checked):
            return factors
    raise UserError(
        f"the decomposition of a {tuple(matrix.shape)} matrix does not converge or exceeds its bounds (residual "
        f"{RESIDUAL_BOUND:g}, orthogonality {ORTHOGONALITY_BOUND:g}): {checked}. Its largest entry is "
        f"{float(matrix.abs().max()):.3g}; fp32 has the digits for it between about 1e-34 and 1e36. "
        "Check the checkpoint's weights."
    )


def check_finite(matrix: Tensor) -> None:
    """Raise a UserError if a weight matrix holds NaN or infinity."""
    if not torch.isfinite(matrix).all():
        raise UserError("a weight matrix holds NaN or infinity: the checkpoint is damaged. Delete and fetch it again.")


Method = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _methods(device: torch.device) -> Iterator[Method]:
    """Yield the methods to try on a device, from the fastest to the surest."""
    if device.type == "cuda":
        yield gram_svd
        yield lambda matrix: torch.linalg.svd(matrix, full_matrices=False, driver="gesvd")
    yield lambda matrix: _cpu_svd(matrix, torch.float32)
    yield lambda matrix: _cpu_svd(matrix, torch.float64)


def gram_svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decompose a matrix by the eigenvectors of its smaller Gram matrix, both in fp64.

    Squaring costs half of the digits: singular values below about 1e-8 of the largest are lost, and their vectors with
    them. fp32 weights with a condition number up to about 1e6 keep fp32 accuracy; others miss `within_bounds`.
    """
    transposed = matrix.shape[0] < matrix.shape[1]
    tall = (matrix.T if transposed else matrix).double()
    right = torch.linalg.eigh(tall.T @ tall).eigenvectors.flip(1)
    left = tall @ right
    s = torch.linalg.vector_norm(left, dim=0)
    # The order of nearly equal values may differ from that of the eigenvalues.
    s, order = s.sort(descending=True, stable=True)
    left, right = left[:, order] / s, right[:, order]
    return (right, s, left.T) if transposed else (left, s, right.T)


def _cpu_svd(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Decompose on the CPU, with all threads of the job if the matrix comes from a GPU."""
    with _threads(len(os.sched_getaffinity(0)) if matrix.is_cuda else torch.get_num_threads()):
        u, s, vt = torch.linalg.svd(matrix.to("cpu", dtype), full_matrices=False)
    return u.to(matrix.device), s.to(matrix.device), vt.to(matrix.device)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def frobenius(matrix: Tensor) -> float:
    """Return the Frobenius norm of an fp32 matrix, whatever its scale.

    The squares of entries below about 1e-23 are 0 in fp32, and those of entries above about 1e19 are infinite.
    """
    norm = float(torch.linalg.norm(matrix))
    return norm if SAFE_NORMS[0] <= norm <= SAFE_NORMS[1] else float(torch.linalg.norm(matrix.double()))


def check(factors: Factors, weight: torch.Tensor) -> dict[str, float]:
    """Return the relative residual ‖W − UΣVᵀ‖/‖W‖ (Frobenius) and the largest entries of |UᵀU − I| and |VᵀV − I|."""
    matrix = weight.to(torch.float32)
    norm = frobenius(matrix)
    residual = frobenius(matrix - (factors.u * factors.s) @ factors.vt)
    unit = torch.eye(len(factors.s), device=factors.s.device)
    return {
        "residual": residual / norm if norm else residual,
        "orthogonality_u": float((factors.u.T @ factors.u - unit).abs().max()),
        "orthogonality_v": float((factors.vt @ factors.vt.T - unit).abs().max()),
    }


def within_bounds(checked: dict[str, float]) -> bool:
    """Return True if a checked decomposition is accurate enough to be used."""
    return (
        checked["residual"] <= RESIDUAL_BOUND
        and max(checked["orthogonality_u"], checked["orthogonality_v"]) <= ORTHOGONALITY_BOUND
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
