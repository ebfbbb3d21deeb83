"""The progress of a run: the jobs that it plans, which of them run, have ended or failed, and the time left.

When a run starts, it notes its jobs beside the study's results (results/<study>.run.json), each with the time that it
is expected to take. Progress follows from the note and the events of the run; `laser.cost.status` reads the same note.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from laser.config.plan import Plan
from laser.cost.demand import STAGES, demand_of
from laser.cost.requests import CPU_FLOPS, expected_seconds
from laser.cost.shapes import guessed_shape
from laser.cost.time import CPU_START_SECONDS, GEMM_SHARE, START_SECONDS
from laser.io.files import write_json

SECONDS_OF_DOUBT = 20.0
"""Weight of the ratio that is assumed beforehand, in seconds of ended jobs' expected time."""


@dataclass(frozen=True)
class PlannedJob:
    """One job of a run.

    Attributes:
        id: Snakemake's number for it.
        rule: its rule.
        label: the values of its wildcards, for the reader.
        log: the path of its log.
        run: the file that it writes when it has succeeded; empty if it writes none.
        seconds: the time that it is expected to take, in seconds.
    """

    id: int
    rule: str
    label: str
    log: str
    run: str
    seconds: float

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"{self.rule} {self.label}".rstrip()


GPU_FILES = ("nvidia[0-9]*", "kfd", "dxg")
"""Files in /dev that a driver makes for a GPU: NVIDIA's, AMD's, and that of the Windows Subsystem for Linux."""


def device_of_run(asked: str, here: bool, devices: Path = Path("/dev")) -> str:
    """Return the device whose speed is expected of a run's jobs, without the seconds that importing torch takes.

    Args:
        asked: the config's device: auto, cpu or cuda.
        here: True if the jobs run on this machine, False if they go to a cluster.
        devices: the folder of device files.
    """
    if asked == "auto" and here and not any(any(devices.glob(pattern)) for pattern in GPU_FILES):
        return "cpu"
    return asked


def speed_of_thread() -> float:
    """Measure large fp32 products on one thread here; return the operations per second that the engine reaches."""
    factor = np.ones((1024, 1024), np.float32)
    rates = []
    for _ in range(5):
        start = time.process_time()
        factor @ factor
        rates.append(2 * 1024**3 / max(time.process_time() - start, 1e-3))
    return GEMM_SHARE * statistics.median(rates)


def planned_jobs(plan: Plan, dag: Any, device: str) -> list[PlannedJob]:
    """Return the jobs that Snakemake will run, in the order of their inputs, except targets, which have no log."""
    thread_flops = speed_of_thread() if device == "cpu" else CPU_FLOPS
    return [
        PlannedJob(
            dag.jobid(job),
            job.rule.name,
            " ".join(map(str, job.wildcards_dict.values())),
            str(job.log[0]),
            str(getattr(job.output, "run_record", "")),
            round(expected_job_seconds(plan, job.rule.name, job.wildcards_dict, device, thread_flops), 1),
        )
        for level in dag.toposorted(set(dag.needrun_jobs()))
        for job in sorted(level, key=lambda job: (job.rule.name, dag.jobid(job)))
        if job.log
    ]


def expected_job_seconds(
    plan: Plan, rule: str, wildcards: Mapping[str, str], device: str, thread_flops: float = CPU_FLOPS
) -> float:
    """Return the time in seconds that a job is expected to take on a device (auto, cpu or cuda).

    For a rule without a cost model, it is the time of the start; auto counts as a GPU.
    """
    if rule not in STAGES:
        return START_SECONDS
    shape = guessed_shape(plan.model(wildcards["model"]))
    demand = demand_of(plan, rule, wildcards)
    start = CPU_START_SECONDS if device == "cpu" else START_SECONDS
    return start + expected_seconds(shape, demand, device, plan.config["threads"], thread_flops=thread_flops)


def note_path(results: str | Path) -> Path:
    """Return the path of the note of a study's last run, given the folder of its results."""
    return Path(f"{results}.run.json")


def write_note(results: str | Path, jobs: Iterable[PlannedJob]) -> None:
    """Note the jobs of the run that is about to start."""
    write_json(note_path(results), {"started": time.time(), "jobs": [asdict(job) for job in jobs]})


def read_note(results: str | Path) -> tuple[float, list[PlannedJob]] | None:
    """Return when the study's last run started, and its jobs; None without a complete note."""
    try:
        note = json.loads(note_path(results).read_text(encoding="utf-8"))
        return float(note["started"]), [PlannedJob(**job) for job in note["jobs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Progress:
    """The state of a run's jobs, by their numbers.

    Attributes:
        jobs: all jobs of the run.
        running: those that run, each with the time when it started.
        done: those that have succeeded, each with its duration in seconds.
        failed: those whose last attempt has failed.
        most: the largest number of jobs that ran at once.
    """

    jobs: dict[int, PlannedJob]
    running: dict[int, float] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    most: int = 1

    def start(self, number: int, now: float) -> None:
        """Note that a job has started, or started again."""
        if number in self.jobs:
            self.failed.discard(number)
            self.running[number] = now
            self.most = max(self.most, len(self.running))

    def finish(self, number: int, now: float) -> None:
        """Note that a job has succeeded."""
        if number in self.jobs:
            self.failed.discard(number)
            self.done[number] = now - self.running.pop(number, now)

    def fail(self, number: int) -> None:
        """Note that an attempt of a job has failed."""
        if number in self.jobs:
            self.running.pop(number, None)
            self.failed.add(number)

    def seconds_left(self, now: float) -> float | None:
        """Return the expected time to the end in seconds; None before any job has ended.

        The cost model's times are multiplied by the ratio of actual to expected time of the same rule's jobs so far;
        if there are none, by that of all jobs that the model knows. A job that already runs longer than expected
        counts too. Jobs of rules that the model does not know, such as downloads, say nothing about the others.
        """
        if not self.done:
            return None
        taken = self.done | {
            number: now - start
            for number, start in self.running.items()
            if now - start > self.jobs[number].seconds and self.jobs[number].rule in STAGES
        }
        overall = self._ratio({number: taken[number] for number in taken if self.jobs[number].rule in STAGES}, 1.0)
        by_rule: dict[str, float] = {}
        left, longest = 0.0, 0.0
        for number, job in self.jobs.items():
            if number in self.done or number in self.failed:
                continue
            if job.rule not in by_rule:
                alike = {other: taken[other] for other in taken if self.jobs[other].rule == job.rule}
                by_rule[job.rule] = self._ratio(alike, overall if job.rule in STAGES else 1.0)
            seconds = job.seconds * by_rule[job.rule]
            if number in self.running:
                seconds = max(seconds - (now - self.running[number]), 0.0)
            left, longest = left + seconds, max(longest, seconds)
        return max(left / self.most, longest)

    def _ratio(self, taken: Mapping[int, float], before: float) -> float:
        """Return the ratio of actual to expected time of some jobs; the shorter the jobs, the nearer to `before`."""
        expected = sum(self.jobs[number].seconds for number in taken)
        return (sum(taken.values()) + SECONDS_OF_DOUBT * before) / (expected + SECONDS_OF_DOUBT)

    def line(self, now: float, ended: bool = False) -> str:
        """Return the state in one line: 41/71 jobs, 2 running, about 6 min left (done 15:49); no time if `ended`."""
        parts = [f"{len(self.done)}/{len(self.jobs)} jobs", f"{len(self.running)} running"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        left = None if ended else self.seconds_left(now)
        if left is not None and len(self.done) + len(self.failed) < len(self.jobs):
            end = time.strftime("%H:%M" if left < 20 * 3600 else "%a %H:%M", time.localtime(now + left))
            parts.append(f"about {duration(left)} left (done {end})")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as a person would say it: 40 s, 6 min, 2 h 10 min, 3 days 4 h."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
