"""The one policy for faults of the network that may pass: a few more attempts, with pauses between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PAUSES: tuple[float, ...] = (2.0, 15.0)
"""Seconds before the second and the third attempt, beyond the hub library's own."""

Result = TypeVar("Result")


class TransientError(Exception):
    """A failure that another attempt may not have."""


def attempts(action: Callable[[], Result], report: Callable[[str], None] = lambda line: None) -> Result:
    """Run `action` until it raises no `TransientError`, at most once more than there are pauses.

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
