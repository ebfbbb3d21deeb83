"""run.html: what differs between runs, such as times, memory and machines; index.html holds none of these."""

from __future__ import annotations

import json
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


def timings(benchmarks: Mapping[str, Iterable[Path]]) -> Timings:
    """Sum Snakemake's benchmark files by rule.

    Raises:
        UserError: a file is not a benchmark in JSON lines.
    """
    rules: dict[str, dict[str, Any]] = {}
    for rule, path in ((rule, path) for rule, paths in benchmarks.items() for path in paths):
        try:
            lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
            for line in lines:
                sums = rules.setdefault(rule, {"jobs": 0, "seconds": 0.0, "memory": 0.0})
                sums["jobs"] += 1
                sums["seconds"] += float(line["s"])
                sums["memory"] = max(sums["memory"], _megabytes(line.get("max_rss")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise UserError(
                f"{path}: is not a Snakemake benchmark in JSON lines ({error!r}). Delete it and rerun."
            ) from error
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


def _megabytes(value: Any) -> float:
    """Return a memory reading in MB; Snakemake writes `NA` for jobs too short to be measured."""
    return float(value) if isinstance(value, int | float) else 0.0


def machines(runs: Iterable[Path]) -> list[dict[str, str]]:
    """Count jobs by machine, from the records of runs: host, platform, processor, device, GPUs, commit.

    Args:
        runs: the study's runs/**/*.json.

    Raises:
        UserError: a file is not the record of a run.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for path in runs:
        run = read_json(path)
        if not isinstance(run, dict):
            raise UserError(f"{path}: a run's record is a JSON object. Delete it and run again.")
        counts[tuple(_machine(key, run.get(key)) for key in MACHINE)] += 1
    return [dict(zip(MACHINE, key, strict=True)) | {"jobs": f"{count:,}"} for key, count in sorted(counts.items())]


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
