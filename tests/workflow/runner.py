"""Running Snakemake itself in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.forks import JOBS, Forks

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
    alone: bool = False,
    **settings,
):
    """Run Snakemake to its end; return the finished process with its output.

    Args:
        folder, study, arguments, settings: as in `command`.
        flags: further options of Snakemake.
        variables: further environment variables.
        alone: whether Snakemake starts as it does for a user, and not as a fork of a process that has done the slow
            imports, nor with jobs that are forks of one.
    """
    line = command(folder, study, *arguments, **settings)
    line[3:3] = flags
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | dict(variables or {})
    if alone:
        return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=1800)
    if "--dry-run" not in flags and settings.get("root", ROOT) == ROOT:
        environment |= fork_of_jobs()
    return forked(line, environment)


FORKS = Forks("snakemake.cli", "pandas", "matplotlib.pyplot", learns=True, package=True)


@cache
def fork_of_jobs() -> dict[str, str]:
    """Return the variables that name the process of which jobs are forks, for all runs of these tests."""
    return json.loads(os.environ[JOBS])


def forked(line: list[str], environment: Mapping[str, str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Do what `python -m snakemake ...` does; return the finished process with its output.

    Args:
        line: the whole command.
        environment: all variables that it sees.
        folder: where it is started.
    """
    assert line[:3] == [sys.executable, "-m", "snakemake"]
    return FORKS.run("snakemake", line[3:], environment, folder, own=str(ROOT / "Snakefile") in line)


def tool(name: str, *arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one of workflow/scripts/tools in a folder; return the finished process with its output."""
    script = ROOT / f"workflow/scripts/tools/{name}.py"
    return FORKS.run(str(script), list(map(str, arguments)), os.environ, folder, own=True)


def planned(folder: Path, study: Path | str, *arguments: str, **settings) -> dict[str, int]:
    """Return how many jobs of each rule a run would make, from a dry run."""
    done = run(folder, study, *arguments, flags=("--dry-run",), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: count for name, count in counted(done).items() if name not in ("total", "all")}


def counted(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the table of jobs that a dry run prints, which is empty where nothing is to be made."""
    table = re.search(r"Job stats:\njob\s+count\n[-\s]+\n(.*?)\n\n", done.stdout + done.stderr, re.S)
    return {name: int(count) for name, count in map(str.split, table[1].splitlines())} if table else {}


LONGEST_WORD = 131_072
"""Bytes that Linux takes in one argument; a rule's command is one, given to bash -c."""


def longest_command(done: subprocess.CompletedProcess[str]) -> int:
    """Return the bytes of the longest command of those, some dozens at least, that a dry run prints."""
    commands = [line for line in (done.stdout + done.stderr).splitlines() if "LASER_SCRIPTS" in line]
    assert len(commands) > 50
    return max(len(command.encode()) for command in commands)


def contents(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """Return the bytes of all files below a folder that match, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}
