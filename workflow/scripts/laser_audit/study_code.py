"""Runs the study's own code in another process, and compares the files that it remakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from laser_audit.findings import Check
from laser_audit.reading import Study

SECONDS = 1800


def run_code(*words: str, scripts: Path, given: str = "", seconds: int = SECONDS) -> tuple[str, str]:
    """Run Python with the study's code; return what it prints, and why it failed (empty if it did not).

    Args:
        words: arguments of the command line after `python`.
        scripts: the folder of the repository's scripts.
        given: the process's standard input.
        seconds: the longest that it may take.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LASER_")}
    environment |= {"PYTHONPATH": str(scripts), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, timeout=seconds, env=environment, input=given
        )
    except subprocess.TimeoutExpired:
        return "", f"stopped after {seconds:,} seconds"
    reason = (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""
    return done.stdout, reason.removeprefix("laser.errors.UserError: ")


def compare(check: Check, study: Study, path: str, again: Path, maker: str) -> None:
    """Compare a file of the study with the one that `maker` remade."""
    with check.guarded(path):
        equal = again.is_file() and again.read_bytes() == study.locate(path).read_bytes()
        check.holds(path, "", equal, "other bytes", f"those of {maker}, made again from the study's rows")
