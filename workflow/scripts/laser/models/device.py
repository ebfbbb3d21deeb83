"""Where and how a job computes: its dtypes, CPU threads and device, and settings that a GPU build would choose itself.

Containers switch TF32 on with an environment variable, which moves log-probabilities of a 7B model by hundredths of a
nat; cuBLAS may sum fp16 products in fp16. Both are switched off here, and the run's facts say so. Nothing here imports
transformers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import torch

from laser.errors import UserError
from laser.io.machine import GIVEN_BY

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
NONE_GIVEN = ("", "-1", "NoDevFiles", "none", "void")
ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"


def set_threads(count: int) -> None:
    """Set the number of CPU threads; a different number changes the order of sums and thus the last digits."""
    torch.set_num_threads(count)


def resolve_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` stands for, with precision pinned (`pin_precision`).

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


def configure_allocator() -> None:
    """Use memory segments that can grow, because batches of many sizes leave gaps in fixed ones.

    torch reads the setting at its first allocation on the device. A user's own setting is kept.
    """
    if "PYTORCH_ALLOC_CONF" not in os.environ:
        os.environ.setdefault(ALLOCATOR, "expandable_segments:True")


def pin_precision() -> None:
    """Switch off TF32, reduced-precision sums and cuDNN's attention, whose kernel depends on what is cached."""
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # read by cuBLAS when it starts
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.enable_cudnn_sdp(False)


def precision_facts(device: torch.device) -> dict[str, Any]:
    """Return what `pin_precision` has set, as torch reports it; empty for a CPU, which has no such settings."""
    if device.type != "cuda":
        return {}
    matmul = torch.backends.cuda.matmul
    kernels = {
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "math": torch.backends.cuda.math_sdp_enabled(),
        "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
    }
    return {
        "tf32": matmul.allow_tf32 or os.environ.get("NVIDIA_TF32_OVERRIDE") != "0",
        "reduced_precision_sums": bool(
            matmul.allow_fp16_reduced_precision_reduction or matmul.allow_bf16_reduced_precision_reduction
        ),
        "attention_kernels": sorted(name for name, enabled in kernels.items() if enabled),
    }


def gpu_given_by() -> str | None:
    """Return the environment variable, with its value, that shows that this job was given a GPU, or None."""
    for name in GIVEN_BY:
        value = os.environ.get(name, "").strip()
        if value not in NONE_GIVEN and not (name == "SLURM_GPUS_ON_NODE" and value == "0"):
            return f"{name}={value}"
    return None


def seen() -> str:
    """Return a sentence about torch's build and the driver."""
    built = f"torch {torch.__version__} is built for " + (f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU")
    return f"{built}; {_driver()}."


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "there is no nvidia-smi, so no NVIDIA driver is likely to be installed"
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi fails ({type(error).__name__})"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return f"nvidia-smi says: {lines[0] if lines else f'nothing, exit status {done.returncode}'}"
