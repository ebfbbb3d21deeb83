"""What an audit reports: its checks, how much each compared, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laser_audit.reading import Study

SHOWN = 160
"""Longest text of a found or expected value in a finding."""


class Unreadable(Exception):
    """A file of the study that cannot be read in its format; it becomes a finding, never a traceback."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class NotAStudy(Exception):
    """The input cannot be audited; the message is for the user."""


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        path: the file, relative to the study's folder.
        where: key, row or column in it; empty for the file as a whole.
        found: the value in the file.
        expected: the value that should be there; empty if `found` says everything.
    """

    path: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        location = ": ".join(part for part in (self.path, self.where) if part)
        if not self.expected:
            return f"{location}: {self.found}"
        return f"{location}: found {self.found}, expected {self.expected}"


@dataclass
class Check:
    """One kind of test over the whole study.

    Attributes:
        name: short name, as the pages show it.
        about: one sentence: what was compared with what.
        unit: what `count` counts.
        count: number of comparisons.
        findings: faults; the check passed if there are none.
        skipped: why there was nothing to check, if that is legitimate.
    """

    name: str
    about: str
    unit: str
    count: int = 0
    findings: list[Finding] = field(default_factory=list)
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """True if there are no findings."""
        return not self.findings

    def fail(self, path: str, where: str, found: Any, expected: Any) -> None:
        """Add a finding; values are shortened, and control characters removed."""
        self.findings.append(Finding(brief(path), brief(where), brief(found), brief(expected)))

    def holds(self, path: str, where: str, right: bool, found: Any, expected: Any) -> None:
        """Count one comparison and add a finding unless it is `right`."""
        self.count += 1
        if not right:
            self.fail(path, where, found, expected)

    def same(self, path: str, where: str, found: Any, expected: Any) -> bool:
        """Count one comparison and add a finding unless both are equal (True and 1 are not)."""
        equal = bool(type(found) is type(expected) and found == expected)
        self.holds(path, where, equal, found, expected)
        return equal

    @contextmanager
    def guarded(self, path: str = "", where: str = "") -> Iterator[None]:
        """Turn errors from reading a damaged file into a finding about `path`."""
        try:
            yield
        except Unreadable as error:
            self.fail(error.path or path, where, error.reason, "")
        except (KeyError, IndexError, StopIteration) as error:
            self.fail(path, where, f"lacks {error}, which this kind of file has", "")
        except RecursionError:
            self.fail(path, where, "is nested without end", "")
        except Exception as error:  # a file of the study may hold anything
            self.fail(path, where, f"{type(error).__name__}: {error}", "values of the documented types")


def brief(value: Any) -> str:
    """Return a value as one short line of printable text."""
    try:
        plain = value.item() if hasattr(value, "item") else value
        text = plain if isinstance(plain, str) else repr(plain)
    except (ValueError, RecursionError) as error:
        text = f"a value that cannot be shown ({error})"
    text = "".join(letter if letter.isprintable() else "�" for letter in text[: 4 * SHOWN])
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


Examine = Callable[[Check, "Study"], None]
"""One check of a study: counts what it looks at and adds its findings."""


def checked(
    name: str, about: str, unit: str, examine: Callable[..., None], *given: object, without: Sequence[object] = ()
) -> Check:
    """Run one check with what it is given; an unexpected error is a finding as well.

    A check that compared nothing fails, unless `without` lists what it could not compare.
    """
    check = Check(name, about, unit)
    with check.guarded("", "the check as a whole"):
        examine(check, *given)
    if check.passed and not check.count and not check.skipped and not without:
        check.fail("", "the check as a whole", "nothing to look at", "files of a finished study")
    return check
