"""Which files belong to a finished study, and which job made each: found from its results back through the records.

What a job made is checked against its record on the way, and what it read against the records of the jobs before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.io.records import CACHE_RECORD, read_record

SHOWN = 5
UNSETTLED = ("export", "manifest")
"""Jobs that no manifest covers: the manifest's own, and exports, which may be asked for at any time."""


@dataclass
class Closure:
    """What a study consists of. Paths are relative to the study's folder, with forward slashes.

    Attributes:
        folder: the study's folder.
        records: record to its content, of every job whose outputs the study has.
        made: every deterministic file that a job made: its sha256 and bytes (`sha256`, `bytes`, `record`).
    """

    folder: Path
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)


def close(folder: Path, seeds: Iterable[Path]) -> Closure:
    """Return what the given files rest on, they themselves among it.

    Args:
        folder: the study's folder.
        seeds: files of it.

    Raises:
        UserError: one message that names every record that is missing, and every file that is not as recorded.
    """
    makers, problems = _makers(folder), []
    start, found = f"results/{folder.name}/", Closure(folder)
    waiting = sorted(_inner(folder, path) for path in seeds)
    while waiting:
        path = waiting.pop()
        if path in found.made:
            continue
        if path not in makers:
            problems.append(_unmade(folder, path))
            found.made[path] = {}
            continue
        record, content = makers[path]
        found.records[record] = content
        problems += _stale(folder, start, record, content, found)
        waiting += [one["path"].removeprefix(start) for one in content["inputs"] if one["path"].startswith(start)]
    problems += _disagreements(start, found)
    runs = (folder / "runs" / name.removeprefix("records/") for name in sorted(found.records))
    problems += [f"{path} is missing" for path in runs if not path.is_file()]
    problems += [f"{folder}/{name} is missing" for name in _unrecorded(folder)]
    if problems:
        named = "; ".join(sorted(set(problems), key=_missing_first)[:SHOWN])
        more = f" And {len(problems) - SHOWN:,} more." if len(problems) > SHOWN else ""
        raise UserError(
            f"{folder}: what made its files cannot be told. {named}.{more} Delete the files that are named, or those "
            "that a missing record described, and run again: they are made anew, with the same bytes."
        )
    return found


def _missing_first(problem: str) -> tuple[bool, str]:
    """Order problems: what is missing explains what seems stale."""
    return "is missing" not in problem, problem


def _inner(folder: Path, path: Path) -> str:
    """Return a file's path below the study's folder."""
    if not path.is_relative_to(folder):
        raise UserError(f"{path}: is not below {folder}, whose manifest is made.")
    return path.relative_to(folder).as_posix()


def _makers(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each file's record: of two that name one file, as after another `one_job_per`, the newer."""
    start = f"results/{folder.name}/"
    makers: dict[str, tuple[str, dict[str, Any]]] = {}
    paths = sorted((folder / "records").rglob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path))
    for path in paths:
        record = path.relative_to(folder).as_posix()
        if record.split("/")[1] in UNSETTLED:
            continue
        content = read_record(path)
        for one in content["outputs"]:
            makers[one["path"].removeprefix(start)] = (record, content)
    return makers


def _stale(folder: Path, start: str, record: str, content: dict[str, Any], found: Closure) -> Iterator[str]:
    """Note what a job made; yield what is not as its record says."""
    for one in content["outputs"]:
        name = one["path"].removeprefix(start)
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing, which {folder}/{record} says was made"
            found.made[name] = {}
            continue
        sha256 = sha256_file(path)
        found.made[name] = {"sha256": sha256, "bytes": path.stat().st_size, "record": record}
        if sha256 != one["sha256"]:
            yield f"{path} differs from its record {folder}/{record}, which is stale or the file was changed"


def _disagreements(start: str, found: Closure) -> Iterator[str]:
    """Yield every input that is not what the job before made, be it of the study or of the cache."""
    made = {f"{start}{name}": one.get("sha256") for name, one in found.made.items()}
    for name in found.made:
        if name.startswith("inputs/") and name.endswith(f"/{CACHE_RECORD}") and (found.folder / name).is_file():
            made |= {one["path"]: one["sha256"] for one in read_record(found.folder / name)["outputs"]}
    for record, content in sorted(found.records.items()):
        for one in content["inputs"]:
            if made.get(one["path"], one["sha256"]) != one["sha256"]:
                yield f"{found.folder}/{record} is stale: it was made from another {one['path']}"


def _unmade(folder: Path, path: str) -> str:
    if not (folder / path).is_file():
        return f"{folder / path} is missing"
    return f"{folder / path} has no record below {folder}/records/"


def _unrecorded(folder: Path) -> Iterator[str]:
    """Yield the records that jobs must have written, as their runs are there, but that are not there any more."""
    for run in sorted((folder / "runs").rglob("*.json")):
        inner = run.relative_to(folder / "runs")
        if inner.parts[0] not in UNSETTLED and not (folder / "records" / inner).is_file():
            yield (Path("records") / inner).as_posix()
