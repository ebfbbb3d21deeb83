"""run.html: what differs between runs, such as times, memory and machines; index.html holds none of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import read_json

MACHINE = ("host", "platform", "processor", "device", "gpu", "git")


@dataclass(frozen=True)
class Timings:
    """Number of jobs, total minutes and largest memory in MB, as text, per rule and over all rules."""

    rules: list[dict[str, str]]
    total: dict[str, str]


def timings(runs: Mapping[Path, str]) -> Timings:
    """Sum the times of jobs by rule.

    Args:
        runs: maps the file of each job's run to its rule.

    Raises:
        UserError: a file is not the run of a job.
    """
    rules: dict[str, dict[str, Any]] = {}
    for path, rule in runs.items():
        run = _read(path)
        sums = rules.setdefault(rule, {"jobs": 0, "seconds": 0.0, "memory": 0.0})
        try:
            sums["jobs"] += 1
            sums["seconds"] += float(run["seconds"])
            sums["memory"] = max(sums["memory"], float(run["peak_memory_bytes"]) / 1e6)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{path}: is not the run of a job ({error!r}). Delete it and run again.") from error
    total = {
        "jobs": sum(sums["jobs"] for sums in rules.values()),
        "seconds": sum(sums["seconds"] for sums in rules.values()),
        "memory": max((sums["memory"] for sums in rules.values()), default=0.0),
    }
    return Timings([_timing(name, sums) for name, sums in sorted(rules.items())], _timing("All rules", total))


def _timing(name: str, sums: Mapping[str, Any]) -> dict[str, str]:
    return {
        "rule": name,
        "jobs": f"{sums['jobs']:,}",
        "minutes": f"{sums['seconds'] / 60:,.1f}",
        "memory": f"{sums['memory']:,.0f}",
    }


def machines(runs: Iterable[Path]) -> list[dict[str, str]]:
    """Count jobs by machine, from the records of runs: host, platform, processor, device, GPUs, commit.

    Args:
        runs: the file of each job's run.

    Raises:
        UserError: a file is not the record of a run.
    """
    counts = Counter(tuple(_machine(key, run.get(key)) for key in MACHINE) for run in map(_read, runs))
    return [dict(zip(MACHINE, key, strict=True)) | {"jobs": f"{count:,}"} for key, count in sorted(counts.items())]


def _read(path: Path) -> dict[str, Any]:
    run = read_json(path)
    if not isinstance(run, dict):
        raise UserError(f"{path}: a run's record is a JSON object. Delete it and run again.")
    return run


def _machine(key: str, value: Any) -> str:
    if value is None or value == []:
        return "none"
    if key == "gpu" and isinstance(value, list):
        return "; ".join(_listed(device) for device in value)
    if key == "git" and isinstance(value, dict):
        return f"{str(value.get('commit'))[:12]}{', changed' if value.get('dirty') else ''}"
    return str(value)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
