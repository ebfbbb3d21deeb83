"""Snakemake's logger `laser`: `PYTHONPATH=workflow/scripts snakemake --logger laser ...`, as `make study` runs it."""

import os
import sys
import threading
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase

from laser.cost.terminal import Terminal

SECONDS_BETWEEN_TICKS = 0.25


class LogHandler(LogHandlerBase):
    """Hands Snakemake's log records to the terminal."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start the clock of the line of progress."""
        self.terminal = Terminal(
            sys.stderr, sys.stderr.isatty() and "NO_COLOR" not in os.environ, dry_run=self.common_settings.dryrun
        )
        self.ended = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN_TICKS):
            self.terminal.tick()

    def emit(self, record: LogRecord) -> None:
        """Take one record."""
        try:
            self.terminal.record(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write the end, once."""
        if not self.ended.is_set():
            self.ended.set()
            self.terminal.close()
        super().close()
