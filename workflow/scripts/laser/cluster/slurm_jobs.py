"""SLURM jobs of a run: those that a dead run left behind, and why jobs failed.

Snakemake cannot adopt the jobs of a run that was killed. They would continue beside the new ones and remove their
files: Snakemake, inside a job, deletes its outputs before it starts and when it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SECONDS_TO_END = 120

# Marks in the log of a SLURM job, and what they mean. The first that occurs counts.
MARKS = {
    "oom-kill event": "out of memory",
    "oom_kill event": "out of memory",
    "Exceeded job memory limit": "out of memory",
    "exceeded memory limit": "out of memory",
    "DUE TO TIME LIMIT": "time limit reached",
    "DUE TO NODE FAILURE": "its node failed",
    "DUE TO PREEMPTION": "preempted by another job",
    "CANCELLED AT": "cancelled",
}
SAID = "] ERROR: "
"""Precedes the message of a rule's script (laser.provenance.job)."""
ENDED = ("100%) done", "Nothing to be done")
"""Snakemake's last words in the log of a job that has succeeded."""
LONGEST_REASON = 300


def cancel_left_over(name: str, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Cancel the jobs of a dead run, and wait until they have ended.

    Args:
        name: name of the jobs: the executor's `run_uuid`. Their ids cannot be used: Snakemake overwrites its note of
            them inside the job.
        folder: the run's working directory; jobs of other folders are never touched.
        say: takes the message to the user.

    Returns:
        The ids of the jobs that were cancelled.
    """
    if shutil.which("squeue") is None:
        return []
    jobs = _queued(name, folder)
    if not jobs:
        return []
    say(
        f"An earlier run in this folder was stopped and left {len(jobs)} SLURM job(s): {', '.join(jobs)}. "
        "They are cancelled, and what they had not finished is made again."
    )
    subprocess.run(["scancel", *jobs], capture_output=True, check=False)
    deadline = time.monotonic() + SECONDS_TO_END
    while _queued(name, folder):
        if time.monotonic() > deadline:
            say(f"They have not ended after {SECONDS_TO_END} seconds. If a job fails now, run again later.")
            break
        time.sleep(1)
    return jobs


def _queued(name: str, folder: Path) -> list[str]:
    """Return the ids of this user's jobs with this name and working directory that wait, run or are about to end."""
    line = ["squeue", "--noheader", "--user", str(os.getuid()), "--name", name, "--format=%i|%Z"]
    listed = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    rows = [row.partition("|") for row in listed.splitlines()]
    wanted = os.path.realpath(folder)
    numbers = {number.strip() for number, _, workdir in rows if workdir and os.path.realpath(workdir) == wanted}
    return sorted(numbers, key=lambda number: (len(number), number))


def failures(logs: Path, since: float) -> dict[Path, str]:
    """Return the logs of SLURM jobs that failed after `since` (seconds of the epoch), with the reason of each."""
    reasons = {}
    for path in sorted(logs.rglob("*.log"), key=lambda log: (log.parent, len(log.name), log.name)):
        try:
            if path.stat().st_mtime < since:
                continue
            reason = reason_of(path.read_text(errors="replace"))
        except OSError:
            continue
        if reason is not None:
            reasons[path] = reason
    return reasons


def reason_of(log: str) -> str | None:
    """Return why a job failed, from its log; None if it succeeded."""
    said = [line.partition(SAID)[2] for line in log.splitlines() if SAID in line]
    if said:
        return said[-1] if len(said[-1]) <= LONGEST_REASON else f"{said[-1][:LONGEST_REASON]}…"
    for mark, reason in MARKS.items():
        if mark in log:
            return reason
    if "Error in " in log or "WorkflowError" in log:
        return "failed; see its log"
    if any(end in log for end in ENDED):
        return None
    return "its log ends in the middle: its node may have been lost"


def tell_failures(logs: Path, since: float, say: Callable[[str], None]) -> None:
    """Tell the user, in one message at the end of a run, which SLURM jobs failed, why, and where their logs are."""
    reasons = failures(logs, since)
    if reasons:
        lines = [f"{len(reasons)} SLURM job(s) failed; each was retried as often as the profile says:"]
        for path, reason in reasons.items():
            lines.append(
                f"  SLURM job {path.stem} ({path.parent.relative_to(logs)}): {reason.rstrip('.')}. Log: {path}"
            )
        say("\n".join(lines))
