"""Records and runs as outputs of Snakemake's rules, so that a missing one is made again with its job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from laser.io.records import record_paths


def declare_records(rules: Iterable[Any], results: Path, cache: Path) -> None:
    """Add the record and the run of each rule's jobs to the rule's outputs; their paths follow from its log."""
    from snakemake.ioflags import update

    for rule in rules:
        log = Path(rule.log[0]) if rule.log else None
        outputs = [Path(path) for path in rule.output]
        paths = record_paths(log, outputs, results, cache)
        if paths is not None:
            # Files that other studies may be reading are not removed before the job.
            kept = update if paths.shared else str
            rule.set_output(record=kept(str(paths.record)), run_record=kept(str(paths.run)))


def records_of(rules: Iterable[Any], files: Iterable[str]) -> list[str]:
    """Return the declared records and runs of the jobs that make some files, each once."""
    rules = [rule for rule in rules if hasattr(rule.output, "record")]
    named = dict.fromkeys(record for file in files for record in _records_of(rules, file))
    return list(named)


def _records_of(rules: list[Any], file: str) -> Iterator[str]:
    for index, rule in enumerate(rules):
        match = next((match for output in rule.output if (match := output.match(file))), None)
        if match is not None:
            rules.insert(0, rules.pop(index))  # files of one rule come one after the other
            for pattern in (rule.output.record, rule.output.run_record):
                yield str(pattern.apply_wildcards(match.groupdict()))
            return
