"""Errors whose message is written for the person who runs the workflow."""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path


class UserError(Exception):
    """An error that the user can correct: shown as one message, without a traceback.

    The message names the file, the key, the value, what is allowed and what to do.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word nearest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{match[0]}'?)" if match else ""


def shortened(value: object, length: int = 80) -> str:
    """Return a value as Python writes it, cut to `length` characters: a message names a value."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists that hold themselves
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def lacks_memory(error: BaseException | None) -> bool:
    """Return True if an error, or one that led to it, says that there is too little memory.

    Libraries say so in their own ways: torch with a RuntimeError, safetensors and Arrow with the system's number 12.
    """
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if "allocate memory" in text or "out of memory" in text or "os error 12" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


RERUN = "Delete it and run again; if that does not help, it is a fault of the workflow."


@contextlib.contextmanager
def understood(
    path: Path | str, wanted: str = "what this workflow writes there", advice: str = RERUN
) -> Iterator[None]:
    """Turn errors from reading a file with unexpected content into a `UserError` that names the file.

    A file of ours has passed the code that wrote it; one that was edited, cut or made by something else can be wrong in
    more ways than could be listed, and none of them is a fault of the workflow.

    Args:
        path: the file.
        wanted: what it should hold.
        advice: what to do.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(f"{path}: does not hold {wanted} ({what}). {advice}") from error
