"""The jobs of a study with their records and runs, including the jobs that filled the shared cache."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.io.records import CACHE_RECORD, CACHE_RUN, read_record
from laser.provenance.closure import Closure


@dataclass(frozen=True)
class FinishedJob:
    """One job.

    Attributes:
        name: its record below the study's folder.
        record: what made what (`laser.io.records`).
        run: where, when and at what cost (`laser.io.machine`).
    """

    name: str
    record: dict[str, Any]
    run: dict[str, Any]

    @property
    def started(self) -> str:
        """When the job started, ISO 8601, UTC."""
        return str(self.run["started"])

    @property
    def ended(self) -> str:
        """When the job ended."""
        start = datetime.datetime.fromisoformat(self.started)
        return (start + datetime.timedelta(seconds=float(self.run["seconds"]))).isoformat(timespec="milliseconds")


def jobs(closure: Closure) -> list[FinishedJob]:
    """Return all jobs of a study in the order in which they started.

    Raises:
        UserError: a run is missing or damaged.
    """
    ran = [
        FinishedJob(name, record, read_record(closure.folder / "runs" / Path(name).relative_to("records")))
        for name, record in closure.records.items()
    ]
    for name in closure.made:
        path = closure.folder / name
        if name.startswith("inputs/") and path.name == CACHE_RECORD:
            ran.append(FinishedJob(name, read_record(path), read_record(path.with_name(CACHE_RUN))))
    return sorted(ran, key=lambda job: (job.started, job.name))
