"""Where, when and at what cost a job ran: everything that may differ between two runs with equal results."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laser.io.files import write_json
from laser.io.records import SCHEMA, RecordPaths

SLURM_JOB = "LASER_SLURM_JOB"
"""Variable with the number of the SLURM job; SLURM's variables do not reach the innermost Snakemake process."""
GPU_GIVEN = "LASER_GPU_GIVEN"
"""Variable with the GPUs that SLURM gave the job, for the same reason."""
GIVEN_BY = (GPU_GIVEN, "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")
"""Variables that show which GPUs a job was given."""
CODE = ("Snakefile", "rules", "workflow", "config", "envs")
"""Parts of the repository that shape results."""


@dataclass(frozen=True)
class JobStart:
    """When a job's own work started: seconds since the epoch, and this process's processor seconds so far."""

    at: float = field(default_factory=time.time)
    processor_seconds: float = field(default_factory=time.process_time)


def write_run(paths: RecordPaths, started: JobStart, device: str | None, script: Path) -> None:
    """Write a job's run beside its record.

    Args:
        paths: the paths of the run and the record.
        started: when the job's own work started; the start of Python and its libraries is in none of the numbers.
        device: the spec's device: auto, cpu, cuda, or None for a job that does not compute on a device.
        script: the job's script; the commit of its repository is recorded.
    """
    run = {
        "schema": SCHEMA,
        "record": paths.name(paths.record),
        "started": datetime.datetime.fromtimestamp(started.at, datetime.UTC).isoformat(timespec="milliseconds"),
        "seconds": round(time.time() - started.at, 3),
        "processor_seconds": round(time.process_time() - started.processor_seconds, 3),
        "peak_memory_bytes": peak_memory_bytes(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processor(),
        "device": resolved(device),
        "gpu": gpus() if resolved(device) == "cuda" else [],
        "git": git(script.resolve().parent),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "slurm_job": os.environ.get("SLURM_JOB_ID") or os.environ.get(SLURM_JOB) or None,
    }
    write_json(paths.run, run)


def peak_memory_bytes() -> int:
    """Return the most memory in bytes that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor() -> str:
    """Return the processor's name as the system knows it."""
    return processor_fact("model name") or platform.processor() or platform.machine()


def processor_fact(name: str) -> str:
    """Return what Linux says of the first processor under a name of /proc/cpuinfo; empty where it says nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def resolved(device: str | None) -> str | None:
    """Return cpu or cuda for a spec's device. torch is asked only if the job has imported it."""
    if device is None or device == "cpu":
        return device
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_available() else "cpu"


def gpus() -> list[dict[str, Any]]:
    """Return name, driver, memory (bytes) and the most memory that this job held, for each GPU that it sees."""
    torch = sys.modules["torch"]
    driver = _say("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").splitlines()
    devices = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        peak = torch.cuda.max_memory_allocated(index)
        named = {"name": facts.name, "driver": driver[0] if driver else None, "cuda": torch.version.cuda}
        devices.append(named | {"memory": facts.total_memory, "peak_memory_bytes": peak})
    return devices


def git(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository, and whether files that shape results differ from it; None without git."""
    commit = _say("git", "-C", str(folder), "rev-parse", "HEAD").strip()
    root = _say("git", "-C", str(folder), "rev-parse", "--show-toplevel").strip()
    if not commit or not root:
        return None
    return {"commit": commit, "dirty": bool(_say("git", "-C", root, "status", "--porcelain", "--", *CODE).strip())}


def last_commit(folder: Path, *paths: str) -> str:
    """Return the short name of the commit that last changed one of some files; empty if there is no repository."""
    return _say("git", "-C", str(folder), "log", "-1", "--format=%h", "--", *paths).strip()


def _say(*command: str) -> str:
    """Return what a command prints; an empty text if it is not installed, fails or hangs."""
    if shutil.which(command[0]) is None:
        return ""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
