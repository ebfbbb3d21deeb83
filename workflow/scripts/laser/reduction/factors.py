"""Factors on disk, addressed by the content of their matrix: one decomposition serves every rho and study."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from laser.io.files import write_tensors
from laser.reduction.svd import Factors, exact_svd


def content_key(weight: torch.Tensor) -> str:
    """Return the sha256 of a matrix's shape and fp32 bytes."""
    matrix = weight.detach().to(device="cpu", dtype=torch.float32).contiguous()
    hashed = hashlib.sha256(repr(tuple(matrix.shape)).encode())
    hashed.update(matrix.numpy().data)
    return hashed.hexdigest()


class FactorStore:
    """A folder of factors. Writes are atomic and content-addressed, so that processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, weight: torch.Tensor) -> Path:
        """Return the path of a matrix's factors, which need not exist."""
        return self.folder / f"{content_key(weight)}.safetensors"

    def get(self, weight: torch.Tensor) -> Factors:
        """Return the factors of a matrix (m, n), on its device; compute and store them if they are not there yet."""
        path = self.path(weight)
        factors = self._read(path, weight)
        if factors is None:
            factors = exact_svd(weight)
            tensors = {"u": factors.u.cpu(), "s": factors.s.cpu(), "vt": factors.vt.cpu()}
            write_tensors(path, tensors, {"key": path.stem})
        # One memory layout, whether read or just computed: another layout would sum in another order.
        return Factors(*(part.to(weight.device).contiguous() for part in (factors.u, factors.s, factors.vt)))

    def _read(self, path: Path, weight: torch.Tensor) -> Factors | None:
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as handle:
                key = (handle.metadata() or {}).get("key")
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  (not a dict)
        except (OSError, SafetensorError):
            return None  # truncated or not such a file: the factors are computed again
        (m, n), d = weight.shape, min(weight.shape)
        wanted = {name: (shape, torch.float32) for name, shape in (("u", (m, d)), ("s", (d,)), ("vt", (d, n)))}
        if (
            key != path.stem
            or {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()} != wanted
        ):
            return None
        return Factors(tensors["u"], tensors["s"], tensors["vt"])
