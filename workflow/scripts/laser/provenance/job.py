"""What every rule script shares: its arguments, its log, its progress lines, and how an error reaches the user."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from laser.config.paths import Folders
from laser.config.specs import from_word, read_spec
from laser.errors import UserError, lacks_memory
from laser.io import claim
from laser.io.files import DISK_ERRORS, before_moving
from laser.io.machine import JobStart, write_run
from laser.io.records import below_logs, record_paths, write_record

SECONDS_BETWEEN_LINES = 5.0
FREE_OR_ALLOW = (
    "Free space or permissions on that disk, then run again. In a cache that a group shares, every user needs "
    "`umask 002`, and the owner of a folder that was made without it `chmod -R g+w`."
)
MORE_MEMORY = (
    "Not enough memory ({error}). Let fewer jobs run at once (--cores), lower the study's token_budget, use a "
    "machine with more memory, or ask the cluster for more: --set-resources <rule>:mem_mb=<megabytes>."
)


@dataclass
class Job:
    """One run of a rule's script.

    Attributes:
        name: the script's name, shown before each line.
        spec: the rule's spec: a record of `laser.config.specs`, or plain JSON for a table or figure.
        plain: the spec as plain JSON.
        label: the job's wildcards, shown after the name.
        folders: the folders in which the job finds its files by name.
        options: the script's own options, by name; None for one that is not given.
        used, made: files that the job reads or writes, for its record.
    """

    name: str
    spec: Any
    plain: dict[str, Any]
    folders: Folders = field(default_factory=lambda: Folders("results", "cache"))
    options: dict[str, Path | None] = field(default_factory=dict)
    label: str = ""
    log: TextIO | None = field(default=None, repr=False)
    used: list[Path] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """The study's folder."""
        return Path(self.folders.results)

    @property
    def cache(self) -> Path:
        """The folder of models and data that studies share."""
        return Path(self.folders.cache)

    def inputs(self, kind: str, **names: Any) -> list[Path]:
        """Return the files of a kind (`laser.config.paths`) that the job reads, and note them for its record."""
        return self.reads(*self.folders.each(kind, **names))

    def input(self, kind: str, **names: Any) -> Path:
        """Return the one file of a kind that the job reads, and note it for its record."""
        (only,) = self.inputs(kind, **names)
        return only

    def outputs(self, kind: str, **names: Any) -> list[Path]:
        """Return the files of a kind that the job writes, and note them for its record."""
        return self.writes(*self.folders.each(kind, **names))

    def output(self, kind: str, **names: Any) -> Path:
        """Return the one file of a kind that the job writes, and note it for its record."""
        (only,) = self.outputs(kind, **names)
        return only

    def reads(self, *paths: str | Path) -> list[Path]:
        """Note files that the job reads, for its record; return their paths."""
        noted = [Path(path) for path in paths]
        self.used += noted
        return noted

    def writes(self, *paths: str | Path) -> list[Path]:
        """Note files that the job makes, for its record; return their paths."""
        noted = [Path(path) for path in paths]
        self.made += noted
        return noted

    def metadata(self, **facts: Any) -> dict[str, Any]:
        """Return the metadata of a result file: the spec, and facts of the run."""
        return self.plain | facts

    def say(self, text: str) -> None:
        """Write one line to the terminal and to the rule's log."""
        line = f"[{self.name}{' ' + self.label if self.label else ''}] {text}"
        print(line, file=sys.stderr, flush=True)
        if self.log is not None:
            # The log is on the same disk as the results: if it is full, the error message must still be shown.
            with contextlib.suppress(OSError):
                print(line, file=self.log, flush=True)

    def progress(self, total: int, unit: str) -> Callable[[int], None]:
        """Return a function to call with the number of units done since its last call.

        Every few seconds it reports the number done, the rate, and the time left.
        """
        start = last = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last < SECONDS_BETWEEN_LINES and done < total:
                return
            last = now
            rate = done / max(now - start, 1e-9)
            left = (total - done) / max(rate, 1e-9)
            self.say(f"{done:,}/{total:,} {unit}, {rate:,.0f}/s, {_clock(left)} left")

        return advance


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _label(name: str, log: Path | None, results: Path) -> str:
    """Return the wildcards in the path of the job's log; for a table or figure, its name."""
    below = below_logs(log, results)
    label = "" if below is None else " ".join(below.parts[1:])
    return "" if label == name else label


def _recorded(main: Callable[[Job], None], job: Job, log: Path | None, started: JobStart) -> None:
    """Run `main` and write the job's record and run; a job that fails leaves no record in the study's folder."""
    before = record_paths(log, [], job.results, job.cache)
    if before is not None:
        before.record.unlink(missing_ok=True)
    main(job)
    destination = record_paths(log, job.made, job.results, job.cache)
    if destination is None:
        return
    script = Path(sys.argv[0])
    write_record(destination, job.plain, script, job.used, job.made)
    old = all(path.stat().st_mtime < started.at - 1 for path in job.made)
    if destination.shared and destination.run.exists() and old:
        return  # the folder in the cache was complete already, and its run says how it was made
    write_run(destination, started, job.plain.get("compute", {}).get("device"), script)


def run_job(
    main: Callable[[Job], None],
    description: str | None,
    kind: type | None = None,
    options: Sequence[str] = (),
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse the command line, run `main`, and turn a `UserError` into one message and exit status 1.

    If `main` succeeds, the job's record and run are written (`laser.io.records`).

    Args:
        main: the script's work.
        description: shown by --help.
        kind: class of the spec; None for plain JSON.
        options: names of the script's own options; each takes a path and may be left out.
        arguments: the command line, for tests; by default that of the process.
    """
    started = JobStart()
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--spec", required=True, type=from_word, help="the rule's spec, as JSON")
    parser.add_argument("--log", type=Path, help="file that repeats what is said on the terminal")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the study's folder")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="models and data that studies share")
    for name in options:
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args(arguments)
    folders, script = Folders(given.results, given.cache), Path(sys.argv[0]).stem
    label = _label(script, given.log, given.results)
    job = Job(script, given.spec, given.spec, folders, {name: getattr(given, name) for name in options}, label)
    first = ""

    def may_write() -> None:
        claim.check(given.log if job.log is not None else None, first)

    before_moving.append(may_write)
    try:
        may_write()
        if given.log is not None:
            with contextlib.suppress(OSError):
                job.log, first = claim.open_log(given.log)
        if kind is not None:
            job.spec = read_spec(kind, given.spec, "--spec")
        _recorded(main, job, given.log, started)
    except claim.SupersededError as reason:
        job.say(f"Ends without writing, because {reason}.")
        sys.exit(0)
    except UserError as error:
        job.say(f"ERROR: {MORE_MEMORY.format(error=error.__cause__) if lacks_memory(error) else error}")
        sys.exit(1)
    except Exception as error:
        if lacks_memory(error):
            job.say(f"ERROR: {MORE_MEMORY.format(error=error)}")
            sys.exit(1)
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            job.say(f"ERROR: {error.filename or 'a file'}: {error.strerror}. {FREE_OR_ALLOW}")
            sys.exit(1)
        where = ""
        try:
            traceback.print_exc(file=job.log)
            if job.log is not None:
                job.log.flush()
                where = f" The whole traceback is in {given.log}."
        except OSError:
            traceback.print_exc()
        job.say(f"ERROR: {type(error).__name__}: {error}. This is a fault of the workflow, not of your input.{where}")
        sys.exit(1)
    finally:
        before_moving.remove(may_write)
        if job.log is not None:
            with contextlib.suppress(OSError):
                job.log.close()
