"""Where and how a job computes: its dtypes, CPU threads and device. Nothing here imports transformers."""

from __future__ import annotations

import torch

from laser.errors import UserError
from laser.models.precision import configure_allocator, gpu_given_by, pin_precision, seen

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def set_threads(count: int) -> None:
    """Set the number of CPU threads; a different number changes the order of sums and thus the last digits."""
    torch.set_num_threads(count)


def resolve_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` stands for, with precision pinned (`laser.models.precision`).

    Raises:
        UserError: there is no usable GPU, but cuda is requested or the job was given a GPU.
    """
    if name == "cpu":
        return torch.device("cpu")
    configure_allocator()
    pin_precision()
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = gpu_given_by()
    if name == "cuda":
        raise UserError(
            f"config key 'device' is 'cuda', but torch sees no CUDA device. {seen()} Use auto or cpu, or install a "
            "CUDA build of torch that fits the driver (docs/cluster.md)."
        )
    if given is not None:
        raise UserError(
            f"this job was given a GPU ({given}), but torch sees none, and a CPU would take days for what the GPU was "
            f"meant for. {seen()} Install a CUDA build of torch that fits the driver (docs/cluster.md), or set config "
            "key 'device' to 'cpu'."
        )
    return torch.device("cpu")
