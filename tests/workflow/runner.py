"""Running Snakemake itself in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


MADE = (".git", ".venv", ".snakemake", "build", "cache", "results", "logs")
"""What work with the repository leaves at its root."""


def copy_of_repository(target: Path) -> Path:
    """Copy the repository without anything that a run has made; return the copy."""
    target.mkdir(parents=True, exist_ok=True)
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in MADE:
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file() and path.name not in MADE:
            shutil.copyfile(path, target / path.name)
    return target


def command(folder: Path, study: Path | str, *arguments: str, cores: int = 2, root: Path = ROOT) -> list[str]:
    """Return the command line that runs a study in `folder`."""
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder)]
    return [*start, "--cores", str(cores), "--config", f"study={study}", "device=cpu", "--", *arguments]


def run(
    folder: Path,
    study: Path | str,
    *arguments: str,
    flags: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    **settings,
):
    """Run Snakemake to its end, with further environment variables; return the finished process with its output."""
    line = command(folder, study, *arguments, **settings)
    line[3:3] = flags
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | dict(variables or {})
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=1800)


def planned(folder: Path, study: Path | str, *arguments: str, **settings) -> dict[str, int]:
    """Return how many jobs of each rule a run would make, from a dry run."""
    done = run(folder, study, *arguments, flags=("--dry-run",), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    table = re.search(r"Job stats:\njob\s+count\n[-\s]+\n(.*?)\n\n", done.stdout + done.stderr, re.S)
    if table is None:
        return {}
    counts = dict(line.split() for line in table.group(1).splitlines())
    return {name: int(count) for name, count in counts.items() if name not in ("total", "all")}


def contents(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """Return the bytes of all files below a folder that match, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}
