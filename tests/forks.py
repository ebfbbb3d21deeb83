"""Short processes of Python, forked from one that has done the slow imports, in place of hundreds of starts.

`Forks` runs a module or some code and waits for it. `Handover` does so for scripts that other processes start.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Forks:
    """A process that has imported some modules and nothing else, and is forked for every run.

    None of them may look at the environment when it is imported: it is that of the first run, and not of each.
    """

    def __init__(self, *modules: str) -> None:
        self.modules = modules

    @cached_property
    def server(self) -> subprocess.Popen[str]:
        """The process; it ends with this one, whose end it reads on its standard input."""
        line = [sys.executable, str(Path(__file__).resolve()), *self.modules]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def run(
        self, what: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run as `python -m` a module, or as `python -c` some code; return the finished process with its output.

        Args:
            what: the module's name, or lines of code.
            arguments: what follows it.
            environment: all variables that it sees.
            folder: where it is started.
        """
        assert self.server.stdin and self.server.stdout
        with tempfile.TemporaryDirectory() as shown:
            streams = [Path(shown) / name for name in ("stdout", "stderr")]
            job = {
                "what": what,
                "arguments": list(arguments),
                "environment": dict(environment),
                "folder": str(folder),
                "streams": [str(path) for path in streams],
            }
            self.server.stdin.write(json.dumps(job) + "\n")
            self.server.stdin.flush()
            status = int(self.server.stdout.readline())
            return subprocess.CompletedProcess([what, *arguments], status, *(path.read_text() for path in streams))


class Handover:
    """A process that has imported some modules, and runs the workflow's scripts and modules in forks of itself.

    One that starts with the variables of `added_to` is handed over to it (tests/quick_start/sitecustomize.py).
    """

    folder = ROOT / "tests/quick_start"
    """The folder for PYTHONPATH."""

    def __init__(self, *modules: str) -> None:
        self.modules = modules

    @cached_property
    def address(self) -> str:
        """Where the process listens, which is started when it is first asked for; it ends with this one."""
        address = f"{tempfile.mkdtemp()}/handover"
        line = [sys.executable, str(Path(__file__).resolve()), "--handover", address, *self.modules]
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=variables)
        assert self.server.stdout is not None
        self.server.stdout.readline()  # it listens
        return address

    def added_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return variables with those of a process whose scripts are handed over."""
        paths = [str(self.folder), *filter(None, [environment.get("PYTHONPATH")])]
        return {**environment, "HANDOVER_OF_TESTS": self.address, "PYTHONPATH": os.pathsep.join(paths)}


def main() -> None:
    """Import the modules that are named; fork for every line that comes, and answer it with the exit status."""
    address = sys.argv[2] if sys.argv[1:2] == ["--handover"] else None
    for name in sys.argv[1 if address is None else 3 :]:
        importlib.import_module(name)
    gc.freeze()
    if address is not None:
        listen(address)
        return
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(1800)
            job = json.loads(line)
            streams = [os.open(path, os.O_RDWR | os.O_CREAT) for path in (os.devnull, *job.pop("streams"))]
            become(**job, streams=streams)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def listen(address: str) -> None:
    """Answer whoever connects with the exit status of the script that it names, until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("listening", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes that answer
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            other, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                answer(other)
                return
            other.close()


def answer(other: socket.socket) -> None:
    """Run the script that a process names as its child; kill it if that process ends first."""
    size, streams, _, _ = socket.recv_fds(other, 8, 3)
    message = b""
    while len(message) < int.from_bytes(size, "big"):
        message += other.recv(1 << 16)
    child = os.fork()
    if child == 0:
        other.close()
        job = json.loads(message)
        what, *arguments = job["arguments"][job["arguments"][0] == "-m" :]
        become(what, arguments, job["environment"], job["folder"], streams)
        return
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, other], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    other.sendall(str(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))).encode())
    os._exit(0)


def become(what: str, arguments: list[str], environment: dict[str, str], folder: str, streams: list[int]) -> None:
    """Be the process that is asked for: a script, which ends with .py, lines of code, or a module."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    is_script = what.endswith(".py")
    # The first of the paths is this file's folder; with -m and -c the current one stands there.
    beside = os.path.dirname(what) if is_script else folder
    sys.path[:1] = [beside, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [what if is_script else "-c", *arguments]
    if is_script:
        runpy.run_path(what, run_name="__main__")
    elif "\n" in what:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
