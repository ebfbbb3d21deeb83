"""Short processes of Python, forked from one that has done the slow imports, in place of hundreds of starts."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
JOBS = "LASER_TESTS_JOBS"
"""Variable with what `laser.cluster.forks.start` returned, for the runs of all workers."""
SCRIPTS = ROOT / "workflow/scripts"
LEARNS, PACKAGE = "--learns", "--package"
OWN = ("laser.config.plan", "laser.cost.requests", "laser.cluster.environment")
"""Modules with which every start of this repository's Snakefile begins."""
LOOK_AT_ENVIRONMENT = ("huggingface_hub", "transformers", "accelerate", "datasets", "peft")


class Forks:
    """A process that has imported some modules, and is forked for every run.

    None of them may look at the environment when it is imported: it is that of the first run, and not of each.

    Args:
        modules: their names.
        learns: whether it also imports, for the next run, what a run imports. The repository's own modules are never
            among them (runs may be of different copies of it), nor is what looks at the environment.
        package: whether it also imports the repository's own modules with which Snakemake begins, and hashes the code
            of all jobs, for runs that are said to be `own`.
    """

    def __init__(self, *modules: str, learns: bool = False, package: bool = False) -> None:
        self.arguments = [*modules, *([LEARNS] if learns else []), *([PACKAGE] if package else [])]

    @cached_property
    def server(self) -> subprocess.Popen[str]:
        """The process; it ends with this one, whose end it reads on its standard input."""
        line = [sys.executable, str(Path(__file__).resolve()), *self.arguments]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def run(
        self,
        what: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path = ROOT,
        given: str = "",
        own: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script, a module (`python -m`) or code (`python -c`); return the finished process with its output.

        Args:
            what: the script's path, the module's name, or lines of code.
            arguments: what follows it.
            environment: all variables that it sees.
            folder: where it is started.
            given: its standard input.
            own: whether it runs this repository's code, and not a copy's.
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
                "own": own,
                "streams": [str(path) for path in streams],
            }
            self.server.stdin.write(json.dumps(job) + "\n")
            self.server.stdin.flush()
            status = int(self.server.stdout.readline())
            return subprocess.CompletedProcess([what, *arguments], status, *(path.read_text() for path in streams[1:]))


def main() -> None:
    """Import the modules that are named; fork for every line that comes, and answer it with the exit status."""
    learns = LEARNS in sys.argv
    import_all(name for name in sys.argv[1:] if name not in (LEARNS, PACKAGE))
    if PACKAGE in sys.argv:
        import_package()
    for line in sys.stdin:
        learned = os.memfd_create("modules")
        child = os.fork()
        if child == 0:
            signal.alarm(1800)
            job = json.loads(line)
            streams = [os.open(path, os.O_RDWR | os.O_CREAT) for path in job.pop("streams")]
            before = set(sys.modules)
            status = become(**job, streams=streams)
            os.write(learned, "\n".join(installed(before)).encode())
            end(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        with open(learned) as file:
            file.seek(0)
            import_all(file.read().split() if learns else ())


def installed(before: Set[str]) -> Iterator[str]:
    """Yield what was imported since of Python and of installed packages, in the order of import."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        is_installed = "site-packages" in file or file.startswith(sys.base_prefix)
        if is_installed and name not in before and name.partition(".")[0] not in LOOK_AT_ENVIRONMENT:
            yield name


def import_all(names: Iterable[str]) -> None:
    """Import modules that can be imported, and spare the garbage collector what stays to the end."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()


def import_package() -> None:
    """Import the repository's own modules with which Snakemake begins, and hash the code of all jobs."""
    sys.path.append(str(SCRIPTS))
    import_all(OWN)
    from laser.config.artefacts import declared
    from laser.config.fingerprint import code_fingerprint

    declared()
    for script in SCRIPTS.glob("*.py"):
        code_fingerprint(script)
    assert not [name for name in LOOK_AT_ENVIRONMENT if name in sys.modules]
    gc.freeze()


def forget_package() -> None:
    """Let nothing of the repository's own modules be imported already."""
    if str(SCRIPTS) in sys.path:
        sys.path.remove(str(SCRIPTS))
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{SCRIPTS}/"):
            del sys.modules[name]


def end(status: int) -> None:
    """End as Python does, but for taking all modules apart, which takes longer than many a run."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def become(
    what: str, arguments: list[str], environment: dict[str, str], folder: str, own: bool, streams: list[int]
) -> int:
    """Be the process that is asked for: a script, which ends with .py, lines of code, or a module.

    Returns:
        The exit status.
    """
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if not own:
        forget_package()
    is_script = what.endswith(".py")
    # The first of the paths is this file's folder; with -m and -c the current one stands there.
    beside = os.path.dirname(what) if is_script else folder
    sys.path[:1] = [beside, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [what if is_script else "-c", *arguments]
    try:
        if is_script:
            runpy.run_path(what, run_name="__main__")
        elif "\n" in what:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
