"""Progress of a download in lines of text: share, size and time left."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 5.0


def byte_meter(what: str, report: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a function to call with (bytes so far, total bytes); the total is 0 if it is unknown.

    It reports at most once per `SECONDS_BETWEEN_LINES`, and at the end.
    """
    start = last = time.monotonic()
    first: int | None = None
    ended = False

    def show(done: int, total: int) -> None:
        nonlocal last, first, ended
        first = done if first is None else first
        now = time.monotonic()
        whole = 0 < total <= done
        if ended or (not whole and now - last < SECONDS_BETWEEN_LINES):
            return
        last, ended = now, whole
        rate = (done - first) / max(now - start, 1e-9)
        if not total:
            report(f"{what}: {megabytes(done)} so far")
        elif whole:
            report(f"{what}: {megabytes(total)} in {now - start:.0f} s")
        else:
            left = f"about {(total - done) / rate:.0f} s left" if rate > 0 else "waiting for data"
            report(f"{what}: {100 * done / total:.0f} % of {megabytes(total)}, {left}")

    return show


def megabytes(count: int) -> str:
    """Format a number of bytes: 92.9 MB, 24,205 MB."""
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e6:,.0f} MB"
