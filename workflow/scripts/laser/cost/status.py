"""The state of a study's last run, from its note, the logs and the runs of its jobs: during the run and after it."""

from __future__ import annotations

import datetime
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from laser.cluster.locks import runs_here
from laser.cluster.slurm_jobs import SAID, failures
from laser.cost.progress import PlannedJob, Progress, note_path, read_note
from laser.cost.terminal import cause
from laser.errors import UserError
from laser.results.plain import aligned

STATES = ("done", "running", "waiting", "failed", "stopped")
SLURM_LOGS = Path("logs/slurm")


def status_text(results: Path, now: float | None = None, alive: bool | None = None) -> str:
    """Return what a person wants to know about a study's last run.

    Args:
        results: the folder of the study's results.
        now: the time in seconds since the epoch; by default that of the clock.
        alive: whether the run is still going on. By default it is, if no other study's run was started in the folder
            since then and its process is not known to have ended; that is known only on the run's own host.

    Raises:
        UserError: no run has noted its jobs.
    """
    noted = read_note(results)
    if noted is None:
        raise UserError(
            f"{note_path(results)}: is missing or damaged, so that no run of '{results.name}' is known. Start "
            f"one: make study STUDY={results.name}. What it will do: make plan STUDY={results.name}."
        )
    started, jobs = noted
    now = time.time() if now is None else now
    if alive is None:
        alive = runs_here() is not False and not _followed(results, started)
    state = {job.id: _state(job, started, alive) for job in jobs}
    progress = _progress(jobs, state)
    when = datetime.datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M")
    finished = all(value == "done" for value in state.values())
    verb = "has ended, complete" if finished else "goes on" if alive else "has ended"
    lines = [f"Study {results.name}: the run of {when} {verb}: {progress.line(now) if alive else _ended(state)}", ""]
    lines += _by_rule(jobs, state)
    failed = [job for job in jobs if state[job.id] == "failed"]
    for job in failed:
        lines += ["", f"failed: {job.name}: {cause(Path(job.log))}", f"  log: {job.log}"]
    for job in (job for job in jobs if state[job.id] == "stopped"):
        lines += ["", f"stopped without a message: {job.name}", f"  log: {job.log}"]
    for path, reason in failures(SLURM_LOGS, started).items() if SLURM_LOGS.is_dir() else ():
        lines += ["", f"SLURM job {path.stem}: {reason}", f"  log: {path}"]
    return "\n".join(lines)


def _followed(results: Path, started: float) -> bool:
    """Return True if the run of another study was started later: a folder runs one at a time."""
    ending = note_path("").name
    noted = (read_note(path.with_name(path.name.removesuffix(ending))) for path in results.parent.glob(f"*{ending}"))
    return any(note is not None and note[0] > started for note in noted)


def _state(job: PlannedJob, started: float, alive: bool) -> str:
    """Return one of STATES."""
    run, log = Path(job.run), Path(job.log)
    if job.run and _since(run, started):
        return "done"
    if not _since(log, started):
        return "waiting"
    if SAID in log.read_text(encoding="utf-8", errors="replace"):
        return "failed"
    return "running" if alive else "stopped"


def _since(path: Path, started: float) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime >= started - 1
    except OSError:
        return False


def _progress(jobs: Sequence[PlannedJob], state: dict[int, str]) -> Progress:
    progress = Progress({job.id: job for job in jobs})
    for job in jobs:
        if state[job.id] == "done":
            progress.done[job.id] = _seconds(Path(job.run))
        elif state[job.id] == "running":
            progress.start(job.id, _log_start(Path(job.log)))
        elif state[job.id] in ("failed", "stopped"):
            progress.failed.add(job.id)
    return progress


def _seconds(run: Path) -> float:
    try:
        return float(json.loads(run.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _log_start(log: Path) -> float:
    """Return when a job started: the time in the first line of its log, else the log's modification time."""
    try:
        first = log.read_text(encoding="utf-8", errors="replace").partition(",")[0]
        return datetime.datetime.fromisoformat(first).timestamp()
    except (OSError, ValueError):
        return log.stat().st_mtime if log.is_file() else time.time()


def _ended(state: dict[int, str]) -> str:
    counts = Counter(state.values())
    return ", ".join(f"{counts[name]} {name}" for name in STATES if counts[name]) or "no jobs"


def _by_rule(jobs: Sequence[PlannedJob], state: dict[int, str]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for job in jobs:
        counts.setdefault(job.rule, Counter())[state[job.id]] += 1
    used = [name for name in STATES if any(count[name] for count in counts.values())]
    rows = [[rule, *(str(count[name] or "") for name in used)] for rule, count in counts.items()]
    return aligned(["rule", *used], rows)
