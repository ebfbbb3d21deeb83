"""Checking that a job may still write: its run has not ended, and no later job has replaced it.

A job may be stopped for hours (SIGSTOP, a suspended machine, a node that hangs) while its run is killed, started again
and finished. If it then continues, it must not touch the files of the new run, including the log.
"""

from __future__ import annotations

import datetime
import os
import socket
import tempfile
from pathlib import Path
from typing import TextIO

RUN = "LASER_RUN"
"""Variable that names the Snakemake process of a job; only Snakemake's main process sets it."""


class SupersededError(Exception):
    """Why a job stops writing. It is not a failure: another job makes its outputs, or nothing needs them."""


def this_machine() -> str:
    """Return an identifier of this host or container, within which process ids are unique."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return f"{socket.gethostname()}{processes}"


def run_of_this_process() -> str:
    """Return the value of RUN for the jobs of this process."""
    return f"{os.getpid()} {this_machine()}"


def has_ended(run: str) -> bool:
    """Return True if a run's process is known to have ended; False if it lives or belongs to another machine."""
    pid, _, machine = run.partition(" ")
    if machine != this_machine() or not pid.isdigit():
        return False
    try:
        import psutil

        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def open_log(path: Path) -> tuple[TextIO, str]:
    """Replace the log by a new file; return it, and its first line, by which a job recognises its log.

    The old file is replaced, not truncated, so that a job that still has it open writes into an unlinked file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    log = os.fdopen(handle, "w", encoding="utf-8")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    first = f"{now}, process {os.getpid()} on {socket.gethostname()}"
    print(first, file=log, flush=True)
    Path(name).chmod(0o644)
    Path(name).replace(path)
    return log, first


def check(log: Path | None, first: str) -> None:
    """Raise SupersededError if this job may not write any more.

    Args:
        log: the job's log; None if it has none.
        first: the first line of that log.
    """
    if has_ended(os.environ.get(RUN, "")):
        raise SupersededError("the run that it belongs to has ended")
    if log is None:
        return
    try:
        with log.open(encoding="utf-8") as file:
            line = file.readline().rstrip("\n")
    except (OSError, ValueError):
        return
    if line != first:
        raise SupersededError(f"another job has replaced it ({log})")
