"""Short processes of Python, forked from one that has done the slow imports, in place of hundreds of starts."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
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
        self, what: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a script, a module (`python -m`) or code (`python -c`); return the finished process with its output.

        Args:
            what: the script's path, the module's name, or lines of code.
            arguments: what follows it.
            environment: all variables that it sees.
            folder: where it is started.
            given: its standard input.
        """
        assert self.server.stdin and self.server.stdout
        with tempfile.TemporaryDirectory() as shown:
            streams = [Path(shown) / name for name in ("stdin", "stdout", "stderr")]
            streams[0].write_text(given)
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
            return subprocess.CompletedProcess([what, *arguments], status, *(path.read_text() for path in streams[1:]))


def main() -> None:
    """Import the modules that are named; fork for every line that comes, and answer it with the exit status."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(1800)
            job = json.loads(line)
            streams = [os.open(path, os.O_RDWR | os.O_CREAT) for path in job.pop("streams")]
            become(**job, streams=streams)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


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
