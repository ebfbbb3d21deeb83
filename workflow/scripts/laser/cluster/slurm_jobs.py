"""SLURM jobs of a run: those that a dead run left behind, and what befell the ones that failed.

Snakemake cannot take up the jobs of a run that was killed. Left alone they would go on beside the new ones and remove
their files: Snakemake, inside a job, deletes its outputs before it starts and when it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SECONDS_TO_END = 120

# Marks in the log of a SLURM job, and what they mean. The first that is found holds.
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
"""Before the message of a rule's own script (laser.provenance.job)."""
ENDED = ("100%) done", "Nothing to be done")
"""What Snakemake says last in the log of a job that came to its end."""
LONGEST_REASON = 300


def cancel_left_over(name: str, folder: Path, say: Callable[[str], None], seconds: float = SECONDS_TO_END) -> list[str]:
    """Cancel the jobs of a dead run, and wait until they have ended.

    Args:
        name: what the run's jobs are called: the executor's `run_uuid`. Their ids are no help: Snakemake overwrites
            its note of them inside the job.
        folder: where the run worked; a job of another folder is never touched.
        say: is given what the user is told.
        seconds: how long to wait.

    Returns:
        The ids of the jobs that were cancelled.
    """
    if shutil.which("squeue") is None:
        return []
    found = _queued(name, folder)
    if not found:
        return []
    say(
        f"An earlier run in this folder was ended and left {len(found)} SLURM job(s): {', '.join(found)}. "
        "They are cancelled, and what they had not finished is made anew."
    )
    subprocess.run(["scancel", *found], capture_output=True, check=False)
    deadline = time.monotonic() + seconds
    while _queued(name, folder):
        if time.monotonic() > deadline:
            say(f"They have not ended after {seconds:.0f} seconds. If a job fails now, run again later.")
            break
        time.sleep(1)
    return found


def _queued(name: str, folder: Path) -> list[str]:
    """Return the ids of this user's jobs of a name that wait, run or are about to end, and work in the folder."""
    line = ["squeue", "--noheader", "--user", str(os.getuid()), "--name", name, "--format=%i|%Z"]
    listed = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    rows = [row.partition("|") for row in listed.splitlines()]
    own = os.path.realpath(folder)
    found = {number.strip() for number, _, place in rows if place and os.path.realpath(place) == own}
    return sorted(found, key=lambda one: (len(one), one))


def failures(logs: Path, since: float) -> dict[Path, str]:
    """Return the logs of SLURM jobs that failed after `since` (seconds of the epoch), with what befell each."""
    found = {}
    for path in sorted(logs.rglob("*.log"), key=lambda one: (one.parent, len(one.name), one.name)):
        try:
            if path.stat().st_mtime < since:
                continue
            reason = reason_of(path.read_text(errors="replace"))
        except OSError:
            continue
        if reason is not None:
            found[path] = reason
    return found


def reason_of(log: str) -> str | None:
    """Return what befell a job, from its log; None if it came to a good end."""
    said = [line.partition(SAID)[2] for line in log.splitlines() if SAID in line]
    if said:
        return said[-1] if len(said[-1]) <= LONGEST_REASON else f"{said[-1][:LONGEST_REASON]}…"
    for mark, reason in MARKS.items():
        if mark in log:
            return reason
    if "Error in " in log or "WorkflowError" in log:
        return "failed; its log says how"
    if any(end in log for end in ENDED):
        return None
    return "its log ends in the middle: its node may have been lost"


def tell_failures(logs: Path, since: float, say: Callable[[str], None]) -> None:
    """Tell the user, in one message at the end of a run, which SLURM jobs failed, why, and where each one's log is."""
    found = failures(logs, since)
    if found:
        lines = [f"{len(found)} SLURM job(s) failed; each was tried again as often as the profile says:"]
        for path, reason in found.items():
            lines.append(
                f"  SLURM job {path.stem} ({path.parent.relative_to(logs)}): {reason.rstrip('.')}. Log: {path}"
            )
        say("\n".join(lines))
