"""Continuing after an interrupted run, which may have left its lock and its SLURM jobs behind.

Every run notes its host and process when it starts. If the note names a process of this host that has ended, the
next run cancels the SLURM jobs that were left and removes the lock. A lock of another host or without a note is not
touched. Snakemake handles incomplete files itself (profiles/default).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from laser.cluster.slurm_jobs import cancel_left_over
from laser.io.files import write_json

NOTE = Path(".snakemake/laser-run.json")
LOCKS = Path(".snakemake/locks")


def note_run(folder: Path = Path(), slurm_jobs: str | None = None) -> None:
    """Write down which process of which host runs the workflow in `folder`, and the name of its SLURM jobs."""
    process = psutil.Process()
    note = {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}
    write_json(folder / NOTE, note | {"slurm_jobs": slurm_jobs})


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return what the last run in a folder noted; None if there is no complete note."""
    try:
        note = json.loads((folder / NOTE).read_text())
        return {
            "host": str(note["host"]),
            "pid": int(note["pid"]),
            "started": float(note["started"]),
            "slurm_jobs": note.get("slurm_jobs"),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def runs_here() -> bool | None:
    """Return True if the last run here is still going on; None if it was on another host, or this is unknown."""
    note = read_note(Path())
    if note is None or note["host"] != socket.gethostname():
        return None
    return _lives(note["pid"], note["started"])


def take_over(folder: Path = Path(), say: Callable[[str], None] = print) -> None:
    """Cancel the SLURM jobs that a dead run of this host left in `folder`, and remove its lock.

    The jobs are cancelled first: one that ends later would write, or remove, files of the new run. A run that is
    interrupted twice leaves jobs behind as well, though no lock. `say` takes the message to the user. Only for
    Snakemake's main process: called inside a job on a node it would remove the lock, and cancel the running jobs, of a
    run whose main process works on another host or has just died.
    """
    note, locks = read_note(folder), sorted((folder / LOCKS).glob("*"))
    if note is None or not (locks or note["slurm_jobs"]):
        return
    if note["host"] != socket.gethostname() or _lives(note["pid"], note["started"]) or _another_lives(folder):
        return
    if note["slurm_jobs"]:
        cancel_left_over(str(note["slurm_jobs"]), folder, say)
    for lock in locks:
        lock.unlink(missing_ok=True)


def tell_of_another_host(folder: Path, say: Callable[[str], None]) -> None:
    """Warn if the last run in `folder` was started on another host and had SLURM jobs: it may still be running.

    In this case its lock was removed by hand, or the two runs make different files.
    """
    note = read_note(folder)
    if note is not None and note["slurm_jobs"] and note["host"] != socket.gethostname():
        say(
            f"The last run in this folder was started on {note['host']}. If it was killed, its SLURM jobs may go on "
            f"beside this run's: end them with 'scancel --name {note['slurm_jobs']}'."
        )


def _another_lives(folder: Path) -> bool:
    """Return True if another Snakemake works in the folder: it may hold the lock without having written its note yet.

    A Snakemake inside a SLURM job does not count: it belongs to a main process, and holds no lock.
    """
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["pid"] in family or "snakemake" not in line or " --mode " in line:
            continue
        try:
            if Path(process.cwd()) == folder.resolve():
                return True
        except (psutil.Error, OSError):
            continue
    return False


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 2
    except psutil.NoSuchProcess:
        return False
