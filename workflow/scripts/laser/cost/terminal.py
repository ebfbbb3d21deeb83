"""What a person sees of a run: one line of progress, warnings, and at the end the cause of every failure.

Snakemake hands over its log records (`snakemake_logger_plugin_laser`); jobs write their own messages to the terminal
directly. Snakemake's own messages are in .snakemake/log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from laser.cluster.slurm_jobs import SAID
from laser.cost.progress import Progress

SECONDS_TO_COLLECT = 0.5
"""Events within this time, such as the end of a job and the start of the next, make one line."""
SECONDS_OF_SILENCE = 60.0
"""Seconds after which a line is written again, because the time left changes."""
RESTATEMENTS = (
    "returned non-zero exit status",
    "Cannot restore",
    "At least one job did not complete",
    "Exiting because a job execution failed",
    "Shutting down, this",
)
LONGEST_CAUSE = 600
COLOURS = {"status": "\033[36m", "warning": "\033[33m", "error": "\033[31m"}


def cause(log: Path) -> str:
    """Return why a job failed: the message in its log, else the log's last line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it has left no log"
    said = [line.partition(SAID)[2] for line in lines if SAID in line]
    last = said[-1] if said else next((line.strip() for line in reversed(lines[1:]) if line.strip()), "")
    return (last[:LONGEST_CAUSE] or "it was killed, or ended without a message").rstrip()


class Terminal:
    """Writes what a person sees: `record` takes Snakemake's log records, `tick` is called often, `close` at the end."""

    def __init__(
        self, stream: TextIO, colours: bool, clock: Callable[[], float] = time.time, dry_run: bool = False
    ) -> None:
        self.stream, self.colours, self.clock, self.dry_run = stream, colours, clock, dry_run
        self.progress: Progress | None = None
        self.changed, self.written = 0.0, 0.0
        self.errors = 0
        self.shown = ""
        self.lock = threading.RLock()

    def say(self, text: str, kind: str = "") -> None:
        """Write one line, coloured by its kind on a terminal."""
        start, end = (COLOURS[kind], "\033[0m") if self.colours and kind else ("", "")
        self.stream.write(f"{start}{text}{end}\n")
        self.stream.flush()

    def record(self, record: logging.LogRecord) -> None:
        """Take one of Snakemake's log records."""
        with self.lock:
            event = str(getattr(record, "event", "") or "")
            if hasattr(record, "planned_jobs"):
                self.progress = Progress({job.id: job for job in record.planned_jobs})
                self.changed = self.written = self.clock()
            elif event == "run_info" and self.dry_run and not self.shown:
                self.shown = str(record.msg)
                self.say(self.shown.strip())
            elif event in ("job_started", "job_finished", "job_error"):
                self._job_event(event, record)
            elif record.levelno >= logging.WARNING:
                self._message(record)
            elif "Nothing to be done" in str(record.msg):
                self.say("[study] nothing to be done: every file is there and up to date")

    def _job_event(self, event: str, record: logging.LogRecord) -> None:
        now = self.clock()
        if self.progress is None:
            return
        if event == "job_started":
            for number in getattr(record, "jobs", None) or ():
                self.progress.start(number, now)
        elif event == "job_finished":
            self.progress.finish(getattr(record, "job_id", -1), now)
        else:
            self.progress.fail(getattr(record, "jobid", -1))
        self.changed = self.changed or now

    def _message(self, record: logging.LogRecord) -> None:
        text = str(record.msg or "").strip()
        # The message about a job's failed command comes before the event of the failure.
        running = self.progress is not None
        if not text or (running and any(words in text for words in RESTATEMENTS)):
            return
        self.errors += record.levelno >= logging.ERROR
        self.say(text, "error" if record.levelno >= logging.ERROR else "warning")

    def tick(self) -> None:
        """Write the line of progress if it has changed, or if nothing was written for a while."""
        with self.lock:
            now = self.clock()
            if self.progress is None:
                return
            if (self.changed and now - self.changed >= SECONDS_TO_COLLECT) or now - self.written >= SECONDS_OF_SILENCE:
                self._status(now)

    def _status(self, now: float, ended: bool = False) -> None:
        assert self.progress is not None
        self.changed, self.written = 0.0, now
        line = self.progress.line(now, ended)
        if line != self.shown:
            self.shown = line
            self.say(f"[study] {line}", "status")

    def close(self) -> None:
        """Write the last line of progress, and after a failure why each job failed."""
        with self.lock:
            progress = self.progress
            if progress is None:
                return
            self._status(self.clock(), ended=True)
            failed = [progress.jobs[number] for number in sorted(progress.failed)]
            if failed:
                left = len(progress.jobs) - len(progress.done) - len(failed)
                waiting = f" ({left} more were not made)" if left else ""
                self.say(f"[study] {len(failed)} job{'s' if len(failed) > 1 else ''} failed{waiting}:", "error")
            for job in failed:
                self.say(f"  {job.name}: {cause(Path(job.log))}", "error")
                self.say(f"    log: {job.log}")
