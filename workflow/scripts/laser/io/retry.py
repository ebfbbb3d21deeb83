"""The retry policy for transient network faults: a few more attempts, with pauses between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PAUSES: tuple[float, ...] = (2.0, 15.0)
"""Seconds before the second and the third attempt, in addition to the hub library's retries."""

Result = TypeVar("Result")


class TransientError(Exception):
    """A failure that may not occur in another attempt."""


def attempts(action: Callable[[], Result], report: Callable[[str], None] = lambda line: None) -> Result:
    """Run `action` until it raises no `TransientError`, at most `len(PAUSES) + 1` times.

    Raises:
        TransientError: of the last attempt, with the number of attempts.
    """
    for pause in PAUSES:
        try:
            return action()
        except TransientError as error:
            report(f"{error}; again in {pause:.0f} s")
            time.sleep(pause)
    try:
        return action()
    except TransientError as error:
        raise TransientError(f"{error} ({len(PAUSES) + 1} attempts)") from error
