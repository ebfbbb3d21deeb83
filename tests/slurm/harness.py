"""Clones of the repository, and Snakemake run in them on the cluster, as a user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from laser.io.machine import GIVEN_BY
from tests.slurm import bed as cluster
from tests.slurm.settings import Settings
from tests.workflow.runner import contents

RESULTS = ("tables/*", "sweep/**/*.parquet", "test/**/*.parquet", "selection/**/*.json", "reductions/**/*.json")
POLL = 3
"""Seconds before Snakemake's first look at its jobs; the profile's own number would make every test minutes longer."""
LONGEST, LONGEST_WAIT = 600, 240
"""Seconds for a run, and for what a test waits for in it, on a machine that does other things too."""


def troubled_environment(folder: Path) -> Path:
    """Make a Python environment with the packages of this one whose `python` is `trouble.py`; return its bin."""
    bin_ = folder / "bin"
    site = folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for path in (bin_, site):
        path.mkdir(parents=True)
    real = Path(sys.executable).resolve()
    (folder / "pyvenv.cfg").write_text(f"home = {real.parent}\ninclude-system-site-packages = false\n")
    (site / "outer.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (bin_ / "python3").symlink_to(real)
    # The cluster's GPUs are made up: a job that knows of one would stop at not seeing it.
    unset = f"unset {' '.join(GIVEN_BY)}"
    trouble = Path(__file__).with_name("trouble.py")
    (bin_ / "python").write_text(f'#!/bin/sh\n{unset}\nexec {bin_}/python3 {trouble} "$@"\n')
    (bin_ / "python").chmod(0o755)
    return bin_


@dataclass
class Run:
    """One Snakemake process in a clone, with what it has said so far."""

    process: subprocess.Popen
    log: Path

    @property
    def text(self) -> str:
        """What the user has seen."""
        return self.log.read_text()

    def finish(self, seconds: float = LONGEST) -> str:
        """Wait for the end; return what the user has seen."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"Snakemake did not end within {seconds} s:\n{self.text[-6000:]}") from None
        return self.text

    def succeed(self) -> str:
        """Wait for the end, which has to be a good one; return what the user has seen."""
        shown = self.finish()
        assert self.process.returncode == 0, shown[-8000:]
        return shown


@dataclass
class Place:
    """A clone with its study, on a cluster.

    Attributes:
        bed: the cluster; None where only local runs are wanted.
        folder: the clone.
        study: path of the study.
        python: bin of the environment that Snakemake runs in.
        trouble: folder of the plans for `trouble.py`.
    """

    bed: Settings | None
    folder: Path
    study: Path
    python: Path
    trouble: Path
    runs: list[Run] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """The study's results."""
        return self.folder / "results" / self.study.stem

    def start(self, *flags: str, local: bool = False, targets: tuple[str, ...] = ("all",)) -> Run:
        """Start Snakemake: `snakemake --profile slurm … all`, or `snakemake -c2 … all`."""
        where = ["-c2"] if local else ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", str(POLL)]
        line = [str(self.python / "python3"), "-m", "snakemake", *where, *flags]
        line += ["--config", f"study={self.study}", "--", *targets]
        log = self.folder.with_name(f"{self.folder.name}.{len(self.runs)}.log")
        outer = cluster.environment(self.bed) if self.bed else dict(os.environ)
        environment = outer | {"OMP_NUM_THREADS": "1", "TROUBLE": str(self.trouble)}
        with log.open("wb") as written:
            process = subprocess.Popen(
                line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=written, stderr=written, env=environment
            )
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def plan(self, name: str, script: str, action: str, **settings) -> None:
        """Plan a trouble (see trouble.py)."""
        (self.trouble / f"{name}.json").write_text(json.dumps({"script": script, "action": action} | settings))

    def met(self, name: str, attempt: int = 1, running: bool = True) -> dict[str, str]:
        """Wait until a job has met its trouble; return its SLURM job and node."""
        path = self.trouble / f"{name}.{attempt}.json"
        self.wait(path.exists, f"{name}, attempt {attempt}", running)
        return json.loads(path.read_text())

    def let_go(self, name: str) -> None:
        """Let a job that is held go on."""
        (self.trouble / f"{name}.go").touch()

    def wait(self, condition: Callable[[], bool], what: str, running: bool = True) -> None:
        """Wait for a condition; it cannot come any more if the last run is to be `running` and has ended."""
        deadline = time.monotonic() + LONGEST_WAIT
        while not condition():
            run = self.runs[-1]
            ended = running and run.process.poll() is not None
            assert not ended, f"Snakemake ended before '{what}':\n{run.text[-6000:]}"
            assert time.monotonic() < deadline, f"'{what}' did not come in {LONGEST_WAIT} s:\n{run.text[-6000:]}"
            time.sleep(0.2)

    def slurm(self, *line: str) -> str:
        """Run a SLURM command."""
        return cluster.run(self.bed, *line)

    def jobs(self) -> list[dict[str, str]]:
        """Return all jobs of this clone that SLURM still knows, the oldest first."""
        keys = {
            "id": "%i",
            "state": "%T",
            "memory": "%m",
            "minutes": "%l",
            "node": "%N",
            "comment": "%k",
            "folder": "%Z",
        }
        listed = self.slurm("squeue", "--states=all", "--noheader", f"--format={'|'.join(keys.values())}")
        rows = [dict(zip(keys, line.split("|"), strict=True)) for line in listed.splitlines()]
        return sorted((row for row in rows if row["folder"] == str(self.folder)), key=lambda row: int(row["id"]))

    def made(self) -> dict[str, bytes]:
        """Return all results that have to be the same wherever they are made."""
        return {name: text for pattern in RESULTS for name, text in contents(self.results, pattern).items()}

    def end(self) -> None:
        """End what still runs."""
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()


def copied(place: Place, folder: Path, trouble: Path) -> Place:
    """Copy a clone with all its results and records to another folder."""
    shutil.copytree(place.folder, folder, symlinks=True)
    trouble.mkdir()
    return Place(place.bed, folder, place.study, place.python, trouble)


def megabytes(text: str) -> float:
    """Return squeue's memory (3501M, 7G) in MB."""
    number, unit = re.fullmatch(r"([\d.]+)([MG])", text).groups()
    return float(number) * (1024 if unit == "G" else 1)


def same(made: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Hold results against those of the local run, byte by byte."""
    assert expected and sorted(made) == sorted(expected)
    assert [name for name in expected if made[name] != expected[name]] == []
