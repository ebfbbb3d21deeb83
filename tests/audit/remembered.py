"""What an audit read of the files that a test leaves alone, once for all tests of a study."""

from __future__ import annotations

import os
from pathlib import Path

from laser_audit.reading import Study
from laser_audit.rows import averages, faults
from laser_audit.run import audit
from laser_audit.splits import prepared

Stamp = tuple[int, int, int]

OF_ONE_FILE = {each.__wrapped__ for each in (Study.sha256, Study.json, Study.spec, averages)}
"""Functions whose result follows from the file that they are given alone."""

OF_INPUTS = {faults.__wrapped__, prepared.__wrapped__}
"""Functions whose result follows from that file, if they are given one, and from everything below inputs/."""


class Remembered:
    """Audits of copies of one finished study: files that are as they were are not read again."""

    def __init__(self, finished: Path) -> None:
        self.report = report = audit(finished)
        assert report.passed, "\n".join(str(one) for check in report.checks for one in check.findings)
        self.memory, self.stamps = report.study.memory, stamps(finished)

    def study(self, folder: Path, checkout: Path | None = None) -> Study:
        """Return a study for `laser_audit.run.audit` that remembers what has not changed."""
        study, now = Study(folder, checkout), stamps(folder)
        inputs = [
            {path: stamp for path, stamp in each.items() if path.startswith("inputs/")} for each in (now, self.stamps)
        ]
        functions = OF_ONE_FILE | OF_INPUTS if inputs[0] == inputs[1] else OF_ONE_FILE
        for (function, *values), result in self.memory.items():
            if function in functions and all(now.get(each) == self.stamps.get(each) for each in values):
                study.memory[function, *values] = result
        return study


def stamps(folder: Path) -> dict[str, Stamp]:
    """Map each file to size, time of the last change in ns, and mode, which copies keep."""
    start = len(f"{folder}/")
    paths = [f"{inside}/{name}" for inside, _, names in os.walk(folder) for name in names]
    return {path[start:]: ((facts := os.lstat(path)).st_size, facts.st_mtime_ns, facts.st_mode) for path in paths}
