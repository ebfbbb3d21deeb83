"""A job whose files are given, wherever they are, and not found by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from laser.config.paths import Folders
from laser.config.specs import read_spec
from laser.provenance.job import Job


class GivenJob(Job):
    """A job on given files.

    Attributes:
        given: kind of file (`laser.config.paths`) to the files; `output` for what the job writes.
    """

    given: dict[str, list[Path]]

    def inputs(self, kind: str, **names: Any) -> list[Path]:
        return self.given[kind]

    def outputs(self, kind: str, **names: Any) -> list[Path]:
        return self.given["output"]


def given_job(kind: type, spec: dict[str, Any], folder: Path, **files: Path | list[Path]) -> GivenJob:
    """Return a job with the spec; factors are kept below `folder`."""
    job = GivenJob("test", read_spec(kind, spec, "test"), spec, Folders(folder, folder))
    job.given = {name: value if isinstance(value, list) else [value] for name, value in files.items()}
    return job
