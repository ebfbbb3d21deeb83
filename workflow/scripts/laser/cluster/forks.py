"""Jobs of a run on this machine as forks of one process, which has done their imports.

Importing torch and transformers takes seconds, often more than the work of a small job. The process imports the script
of each job before it forks, and afterwards what the job imported besides, so that a run imports everything once. Where
it does not run, every job starts a Python of its own: on a cluster, in a container or conda environment, where there is
a GPU (CUDA does not survive a fork), and on systems other than Linux.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLIENT, ADDRESS = "LASER_FORKS", "LASER_FORKS_ADDRESS"
"""Variables of the rules' commands: the program that hands a job over (empty: none does), and where it connects."""
SCRIPTS = Path(__file__).resolve().parents[2]


def are_possible(workflow: Any, device: str) -> bool:
    """Return True if the jobs of this Snakemake can be forks: see above.

    Args:
        workflow: Snakemake's workflow.
        device: the one that jobs will find (`laser.cost.progress.device_of_run`).
    """
    here = workflow.local_exec and not workflow.deployment_settings.deployment_method
    return sys.platform == "linux" and here and device == "cpu" and CLIENT not in os.environ


IMPORTED_LATE = {"fetch": "laser.models.card"}
"""Script to the module, with torch and transformers behind it, that its main imports."""

STARTED: list[subprocess.Popen[bytes]] = []
"""The process, whose standard input stays open as long as this one lives."""


def start() -> dict[str, str]:
    """Start the process, which ends when this one does; return the variables by which jobs find it.

    There are none if TMPDIR is a folder whose path is too long for a socket's, or that cannot hold one.
    """
    folder = tempfile.mkdtemp(prefix="laser-")
    address = f"{folder}/jobs"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(address)
        except OSError:
            os.rmdir(folder)
            return {}
        listener.listen(64)
        line = [sys.executable, str(Path(__file__).resolve()), str(listener.fileno())]
        STARTED.append(subprocess.Popen(line, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]))
    return {CLIENT: str(Path(__file__).with_name("handed_over.py")), ADDRESS: address}


def serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for every job that comes, until standard input ends.

    Returns:
        In a fork, the job that it is to become; None at the end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Snakemake and for the jobs
    events = selectors.DefaultSelector()
    for source in (listener, sys.stdin):
        events.register(source, selectors.EVENT_READ)
    while True:
        for key, _ in events.select():
            if events.get_map().get(key.fd) is not key:
                continue  # an event before this one, of the same job, has closed it
            if key.fileobj is sys.stdin:
                shutil.rmtree(Path(listener.getsockname()).parent, ignore_errors=True)
                return None
            if key.fileobj is listener:
                job = _fork(listener.accept()[0], events)
                if job is not None:
                    return job
            elif isinstance(key.fileobj, int):
                child, client, modules = key.data
                _tell_end(key.fileobj, child, client, events)
                _import_too(modules)
            else:  # Snakemake has ended what waits for a job
                events.unregister(key.fileobj)
                os.kill(key.data, signal.SIGTERM)


def _fork(client: socket.socket, events: selectors.BaseSelector) -> dict[str, Any] | None:
    """Fork for the job of a client; return the job in the fork, None in this process."""
    job = _receive(client)
    if job is None:
        client.close()
        return None
    _import(job["arguments"][0], job["folder"])
    modules = os.memfd_create("modules")
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _close(events)
        client.close()
        return job | {"modules": modules}
    for stream in job["streams"]:
        os.close(stream)
    events.register(os.pidfd_open(child), selectors.EVENT_READ, (child, client, modules))
    events.register(client, selectors.EVENT_READ, child)
    return None


def _tell_end(ended: int, child: int, client: socket.socket, events: selectors.BaseSelector) -> None:
    """Tell a client how its job has ended, whose process id and file descriptor these are."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    events.unregister(ended)
    os.close(ended)
    if client in events.get_map():
        events.unregister(client)
    with contextlib.suppress(OSError):
        client.sendall(str(status if status >= 0 else 128 - status).encode())
    client.close()


def _close(events: selectors.BaseSelector) -> None:
    """Let a fork hold nothing of the other jobs, which would wait for it."""
    for key in list(events.get_map().values()):
        if isinstance(key.fileobj, int):
            os.close(key.fileobj)
            key.data[1].close()
            os.close(key.data[2])
        elif isinstance(key.fileobj, socket.socket):
            key.fileobj.close()
    events.close()


def _receive(client: socket.socket) -> dict[str, Any] | None:
    """Return a job: its arguments, environment, folder, and the file descriptors of its three streams.

    It is None if what hands it over ends before it has said so.
    """
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    message = b""
    while len(message) < int.from_bytes(size, "big"):
        part = client.recv(1 << 16)
        if not part:
            break
        message += part
    if size and len(message) == int.from_bytes(size, "big"):
        return {**json.loads(message), "streams": streams}
    for stream in streams:
        os.close(stream)
    return None


def _import(script: str, folder: str) -> None:
    """Import a script, which does nothing, and what it needs; an error is the job's, whose fork meets it again."""
    path = Path(folder, script).resolve()
    if path.parent == SCRIPTS and path.stem not in sys.modules:
        for name in filter(None, (path.stem, IMPORTED_LATE.get(path.stem))):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()


def _import_too(modules: int) -> None:
    """Import what a job imported while it ran; the next of its kind needs it again.

    Args:
        modules: descriptor of the file in which the job left their names, in the order of their import.
    """
    with open(modules, encoding="utf-8") as file:
        file.seek(0)
        names = file.read().split()
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if names:
        gc.freeze()


def become(job: dict[str, Any]) -> None:
    """Run a job's script as `python script ...` does, leave the names of the modules that it imports, and end.

    A process ends at once after its script: taking hundreds of modules apart takes Python longer than many a job.
    """
    for number, stream in enumerate(job["streams"]):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.argv = job["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    imported = set(sys.modules)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        os.write(job["modules"], "\n".join(name for name in sys.modules if name not in imported).encode())
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.path[0] = str(SCRIPTS)
    if (handed_over := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        become(handed_over)
