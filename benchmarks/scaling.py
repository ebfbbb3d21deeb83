"""How planning and running grow with the number of jobs: the real Snakefile, commands that only touch their outputs.

    python -m benchmarks.scaling                         # here: dry runs and local runs, some minutes
    python -m benchmarks.scaling --only slurm            # on a one-host SLURM (root on Debian or Ubuntu)
    python -m benchmarks.scaling --only local --sizes 50 200

A study has the paper's shape: eight datasets, nine rhos, as many layers as make up the wanted number of jobs. Rows are
added to docs/scaling.csv, replacing those of the same measurement, and docs/images/scaling.svg is drawn from the file.

Columns: wall_s (from start to exit), own_cpu_s and own_memory_mb (only Snakemake's main process, sampled twice a
second), cpu_s (including everything that it started on this host, except SLURM's jobs), and for SLURM submit_s (median
time between two submissions in a row), most_queued and most_running (sampled every second).
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

import benchmarks  # noqa: F401  (puts the package on the path)
from laser.analysis import style
from laser.analysis.dark import with_dark_colours
from laser.io.files import atomic, write_text

ROOT = Path(__file__).resolve().parents[1]
TABLE, PICTURE = ROOT / "docs/scaling.csv", ROOT / "docs/images/scaling.svg"
PARTS = ("Snakefile", "rules", "config", "workflow", "envs", "profiles", "slurm", "CITATION.cff")
KEYS = ["measurement", "one_job_per", "jobs"]
DATASETS = 8
RHOS = [0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005]
STATUS_SECONDS = 7
"""Seconds between two queries to SLURM: a little more than a trivial job takes."""
TRIVIAL = 'JOB = "touch {output:q}"'
"""In place of every job's command in rules/common.smk."""


def copy_workflow(folder: Path) -> Path:
    """Copy the workflow into `folder` with trivial commands; return its Snakefile."""
    folder.mkdir()
    for name in PARTS:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, target)
    common = folder / "rules/common.smk"
    common.write_text(re.sub(r"^JOB = \(.*?^\)", lambda _: TRIVIAL, common.read_text(), flags=re.M | re.S))
    return folder / "Snakefile"


def write_study(path: Path, layers: int, datasets: int = DATASETS, one_job_per: str = "layer") -> Path:
    """Write a study of one model; nothing of it is ever fetched or read."""
    source = {"kind": "hub", "repo": "nobody/nothing", "revision": "0" * 40}
    model = {"name": "model", "source": source, "dtype": "fp32", "architecture": "llama"}
    settings = {
        "title": "A study to count with",
        "protocols": ["corrected"],
        "models": [model | {"layers": layers, "parameters": 1_000_000}],
        "datasets": [{"name": f"facts{number}", "builder": "worldfacts", "limit": 10} for number in range(datasets)],
        "grid": {"matrices": ["u_gate", "u_out"], "layers": "all", "rhos": RHOS},
        "one_job_per": one_job_per,
        "artefacts": ["table1", "table3", "table4", "table5", "verdicts", "fig2"],
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def layers_for(jobs: int) -> int:
    """Return the number of layers that gives about that many jobs: a reduction and eight sweeps each, and 41 others."""
    return max(1, round((jobs - 41) / 9))


class Watched:
    """A run of Snakemake: its output with times, and its main process's CPU time and memory."""

    def __init__(self, line: list[str], environment: dict[str, str] | None = None) -> None:
        environment = {**(environment or os.environ), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.start = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.cpu = self.memory = 0.0
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append((time.monotonic() - self.start, text.rstrip()))

    def sample(self) -> None:
        """Measure the main process once."""
        try:
            seen = psutil.Process(self.process.pid)
            times = seen.cpu_times()
            self.cpu = max(self.cpu, times.user + times.system)
            self.memory = max(self.memory, seen.memory_info().rss / 1e6)
        except psutil.Error:
            return

    def finish(self, every: float = 0.5, look: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Wait for the end; return what was measured. Raises SystemExit with the output if it failed."""
        while True:
            self.sample()
            look()
            found, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if found:
                break
            time.sleep(every)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - self.start
        self.reader.join()
        if self.process.returncode:
            raise SystemExit("\n".join(text for _, text in self.lines[-40:]))
        return {
            "wall_s": round(wall, 1),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
            "own_cpu_s": round(self.cpu, 1),
            "own_memory_mb": round(self.memory),
        }

    @property
    def jobs(self) -> int:
        """The number of jobs in Snakemake's table."""
        text = "\n".join(line for _, line in self.lines)
        found = re.search(r"^total +(\d+)", text, re.M)
        return int(found[1]) if found else 0


def snakemake(snakefile: Path, folder: Path, study: Path, *flags: str) -> list[str]:
    """Return a command line that makes a study in `folder`."""
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder)]
    return [*start, *flags, "--config", f"study={study}", "device=cpu", "--", "all"]


def local(sizes: list[int], most_run: int) -> Iterator[dict[str, Any]]:
    """Yield rows of dry runs of all sizes, and of runs on two cores of those up to `most_run` jobs."""
    for size in sizes:
        for each in ("layer", "rho"):
            with tempfile.TemporaryDirectory(prefix="scaling-") as name:
                place = Path(name)
                snakefile = copy_workflow(place / "workflow-copy")
                layers = layers_for(size) if each == "layer" else max(1, round((size - 41) / 81))
                study = write_study(place / "study.yaml", layers, one_job_per=each)
                line = snakemake(snakefile, place, study, "--cores", "2", "--scheduler", "greedy")
                planned = Watched([*line[:3], "--dry-run", "--quiet", "reason", *line[3:]])
                row = planned.finish(0.1)
                jobs = planned.jobs
                common = {"one_job_per": each, "jobs": jobs}
                yield {"measurement": "dry run"} | common | row
                if jobs > most_run or each == "rho":
                    continue
                yield {"measurement": "run, trivial jobs, 2 cores"} | common | Watched(line).finish()
                again = Watched([*line[:3], "--dry-run", *line[3:]])
                row = again.finish(0.1)
                if again.jobs:
                    raise SystemExit(f"{again.jobs} jobs would be made again: the run before left something out.")
                yield {"measurement": "dry run, all made"} | common | row


def slurm(sizes: list[int], folder: Path, port: int) -> Iterator[dict[str, Any]]:
    """Yield rows of runs through the shipped profile on this host's SLURM, by number of jobs that go to the cluster."""
    from tests.slurm import bed as cluster
    from tests.slurm.settings import Settings

    bed = Settings(folder, nodes=2, cpus=4, port=port)
    cluster.start(bed)
    try:
        for size in sizes:
            with tempfile.TemporaryDirectory(prefix="scaling-") as name:
                yield _slurm_run(cluster, bed, size, Path(name))
    finally:
        cluster.stop(bed)


def _slurm_run(cluster: Any, bed: Any, size: int, place: Path) -> dict[str, Any]:
    snakefile = copy_workflow(place / "workflow-copy")
    study = write_study(place / "study.yaml", max(1, (size - 2) // 2), datasets=1)
    # The host's two CPUs do all the work: with this much memory requested, two jobs at a time run on each node.
    limits = ("--set-resources", *(f"{rule}:mem_mb=3500" for rule in ("reduce", "base", "sweep", "test_intervention")))
    flags = ("--profile", str(snakefile.parent / "slurm"), "--slurm-logdir", str(place / "logs"))
    asked = ("--slurm-init-seconds-before-status-checks", str(STATUS_SECONDS))
    queued, running = [0], [0]

    def look() -> None:
        states = cluster.run(bed, "squeue", "--noheader", "--format=%T").split()
        queued.append(states.count("PENDING"))
        running.append(states.count("RUNNING"))

    watched = Watched(
        snakemake(snakefile, place, study, *flags, *asked, "--latency-wait", "5", *limits), cluster.environment(bed)
    )
    row = watched.finish(1.0, look)
    times = [at for at, text in watched.lines if "submitted with SLURM jobid" in text]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    together = [gap for gap in gaps if gap < STATUS_SECONDS / 2]
    return {
        "measurement": "SLURM on one host",
        "one_job_per": "layer",
        "jobs": watched.jobs,
        "cluster_jobs": len(times),
        **row,
        "submit_s": round(statistics.median(together), 3) if together else None,
        "most_queued": max(queued),
        "most_running": max(running),
    }


def keep(row: dict[str, Any]) -> None:
    """Add a row to the table, in place of one of the same measurement."""
    old = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=KEYS)
    same = (old[KEYS] == pd.Series({key: row[key] for key in KEYS})).all(axis=1)
    new = pd.concat([frame for frame in (old[~same], pd.DataFrame([row])) if len(frame)], ignore_index=True)
    with atomic(TABLE) as temporary:
        new.sort_values(KEYS, kind="stable").to_csv(temporary, index=False)
    print({key: value for key, value in row.items() if value is not None}, flush=True)


def draw() -> None:
    """Draw the picture from the table."""
    table = pd.read_csv(TABLE)
    series = list(dict.fromkeys(zip(table["measurement"], table["one_job_per"], strict=True)))
    panels = (("own_cpu_s", "processor seconds, main process"), ("own_memory_mb", "MB, main process"))
    with style.figure(len(panels), 1, len(series) + 1) as (made, axes):
        for axis, (column, label) in zip(axes, panels, strict=True):
            for number, (measurement, each) in enumerate(series):
                rows = table[(table["measurement"] == measurement) & (table["one_job_per"] == each)]
                name = measurement + (", a job per ρ" if each == "rho" else "")
                axis.plot(rows["jobs"], rows[column], label=name, **style.line(number, len(series)))
            axis.set_xscale("log")
            axis.set_yscale("log" if column.endswith("_s") else "linear")
            axis.set_xlabel("jobs")
            axis.set_ylabel(label)
            for scale in (axis.xaxis, axis.yaxis):
                scale.set_major_formatter("{x:,.0f}")
                scale.set_minor_formatter("")
        style.title(made, "Processor time and memory of Snakemake itself, by number of jobs")
        style.legend(made)
        drawn = io.StringIO()
        made.savefig(drawn, format="svg", metadata={"Date": None})
        write_text(PICTURE, with_dark_colours(drawn.getvalue()))


def main() -> None:
    """Measure, keep every row as it comes, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("local", "slurm", "picture"), default="local", help="default: %(default)s")
    parser.add_argument("--sizes", type=int, nargs="+", help="jobs; default 50 200 740 2000 6000, SLURM 10 20 40")
    parser.add_argument("--most-run", type=int, default=800, help="jobs of the largest local run; default: %(default)s")
    parser.add_argument("--bed", type=Path, default=ROOT / "build/scaling-slurm", help="folder of the SLURM")
    parser.add_argument("--port", type=int, default=17900, help="of the SLURM's controller; default: %(default)s")
    given = parser.parse_args()
    if given.only == "local":
        rows = local(given.sizes or [50, 200, 740, 2000, 6000], given.most_run)
    elif given.only == "slurm":
        rows = slurm(given.sizes or [10, 20, 40], given.bed.resolve(), given.port)
    else:
        rows = iter(())
    for row in rows:
        keep(row)
    draw()


if __name__ == "__main__":
    main()
