"""Going on after a run that was killed: Snakemake's lock and its marks of unfinished outputs stay behind.

Every run notes its host and process when it starts. If that note names a process of this host that no longer lives, the
next run removes the lock, and every output that was marked unfinished, so that it is made anew without a flag. A lock
of another host or without a note is left alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import psutil

from laser.cluster.slurm_jobs import cancel_left_over

NOTE = Path(".snakemake/laser-run.json")
LOCKS = Path(".snakemake/locks")
UNFINISHED = Path(".snakemake/incomplete")


def note_run(folder: Path = Path(), slurm_jobs: str | None = None) -> None:
    """Write down which process of which host runs the workflow in `folder`, and what its SLURM jobs are called."""
    process = psutil.Process()
    own = {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}
    note = own | {"slurm_jobs": slurm_jobs}
    path = folder / NOTE
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{process.pid}")
    temporary.write_text(json.dumps(note))
    temporary.replace(path)


def release_stale_lock(folder: Path = Path(), say: Callable[[str], None] = print) -> bool:
    """Remove the lock of a dead run of this host; return whether there was one.

    SLURM jobs that the dead run left behind are cancelled first: one that ends later would leave files that no mark
    calls unfinished. `say` is given what the user is told. Only for Snakemake's main process: in a job on a node it
    would take the lock, and the running jobs, of a run whose main process works on another host or has just died.
    """
    locks = sorted((folder / LOCKS).glob("*"))
    if not locks:
        return False
    try:
        note = json.loads((folder / NOTE).read_text())
        owner = (str(note["host"]), int(note["pid"]), float(note["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    host, pid, started = owner
    if host != socket.gethostname() or pid == os.getpid() or _lives(pid, started) or _another_lives(folder):
        return False
    marks = [path for path in (folder / UNFINISHED).rglob("*") if path.is_file()]
    if note.get("slurm_jobs"):
        cancel_left_over(str(note["slurm_jobs"]), folder, say)
    for mark in marks:
        output = _marked(mark.relative_to(folder / UNFINISHED))
        if output is not None:
            (folder / output).unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
    for lock in locks:
        lock.unlink(missing_ok=True)
    return True


def tell_of_another_host(folder: Path, say: Callable[[str], None]) -> None:
    """Say that the last run in `folder` was another host's, if it had SLURM jobs: whether it lives cannot be seen here.

    Its lock was taken off by hand, or the two runs make different files.
    """
    try:
        note = json.loads((folder / NOTE).read_text())
        host, jobs = note["host"], note["slurm_jobs"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if jobs and host != socket.gethostname():
        say(
            f"The last run in this folder was started on {host}. If it was killed, its SLURM jobs may go on beside "
            f"this run's: end them with 'scancel --name {jobs}'."
        )


def _marked(mark: Path) -> Path | None:
    """Return the output that a mark stands for: its base64 name, which is spread over folders where it is long."""
    name = "".join(part.removeprefix("@") for part in mark.parts)
    try:
        output = Path(base64.urlsafe_b64decode(name).decode())
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return output if not output.is_dir() else None


def _another_lives(folder: Path) -> bool:
    """Tell whether another Snakemake works in the folder: it may hold the lock and not have noted itself yet.

    One inside a SLURM job does not count: it belongs to a main process, and holds no lock.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["pid"] in own or "snakemake" not in line or " --mode " in line:
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
