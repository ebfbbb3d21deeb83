"""Which files belong to a finished study, and which job made each: traced from its results back through the records.

Each job's outputs are checked against its record, and its inputs against the records of the jobs that made them.
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
"""Jobs that no manifest covers: the one that writes it, and exports, which may be requested at any time."""


@dataclass
class Closure:
    """What a study consists of. Paths are relative to the study's folder, with forward slashes.

    Attributes:
        folder: the study's folder.
        records: record to its content, for every job whose outputs the study has.
        made: every deterministic file that a job made, to its `sha256`, `bytes` and `record`.
    """

    folder: Path
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)


def close(folder: Path, seeds: Iterable[Path]) -> Closure:
    """Return everything that the given files depend on, including the files themselves.

    Args:
        folder: the study's folder.
        seeds: files of the study.

    Raises:
        UserError: one message that names every missing record, and every file that does not match its record.
    """
    makers, problems = _makers(folder), []
    start, closure = f"results/{folder.name}/", Closure(folder)
    waiting = sorted(_inner(folder, path) for path in seeds)
    while waiting:
        path = waiting.pop()
        if path in closure.made:
            continue
        if path not in makers:
            problems.append(_unmade(folder, path))
            closure.made[path] = {}
            continue
        record, content = makers[path]
        closure.records[record] = content
        problems += _stale(folder, start, record, content, closure)
        waiting += [file["path"].removeprefix(start) for file in content["inputs"] if file["path"].startswith(start)]
    problems += _disagreements(start, closure)
    runs = (folder / "runs" / name.removeprefix("records/") for name in sorted(closure.records))
    problems += [f"{path} is missing" for path in runs if not path.is_file()]
    problems += [f"{folder}/{name} is missing" for name in _unrecorded(folder)]
    if problems:
        named = "; ".join(sorted(set(problems), key=_missing_first)[:SHOWN])
        more = f" And {len(problems) - SHOWN:,} more." if len(problems) > SHOWN else ""
        raise UserError(
            f"{folder}: the origin of its files cannot be traced. {named}.{more} Delete the files that are named, or "
            "those that a missing record described, and run again, which makes them again with the same bytes."
        )
    return closure


def _missing_first(problem: str) -> tuple[bool, str]:
    """Order problems: missing files come first, because they explain others that seem stale."""
    return "is missing" not in problem, problem


def _inner(folder: Path, path: Path) -> str:
    """Return a file's path below the study's folder."""
    if not path.is_relative_to(folder):
        raise UserError(f"{path}: is not below {folder}, the folder of the manifest.")
    return path.relative_to(folder).as_posix()


def _makers(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each file's record: the newer one if two name the same file, as after a change of `one_job_per`."""
    start = f"results/{folder.name}/"
    makers: dict[str, tuple[str, dict[str, Any]]] = {}
    paths = sorted((folder / "records").rglob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path))
    for path in paths:
        record = path.relative_to(folder).as_posix()
        if record.split("/")[1] in UNSETTLED:
            continue
        content = read_record(path)
        for file in content["outputs"]:
            makers[file["path"].removeprefix(start)] = (record, content)
    return makers


def _stale(folder: Path, start: str, record: str, content: dict[str, Any], closure: Closure) -> Iterator[str]:
    """Add a job's outputs to `closure.made`; yield those that do not match its record."""
    for file in content["outputs"]:
        name = file["path"].removeprefix(start)
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing, but {folder}/{record} says that it was made"
            closure.made[name] = {}
            continue
        sha256 = sha256_file(path)
        closure.made[name] = {"sha256": sha256, "bytes": path.stat().st_size, "record": record}
        if sha256 != file["sha256"]:
            yield f"{path} differs from its record {folder}/{record}: the record is stale or the file was changed"


def _disagreements(start: str, closure: Closure) -> Iterator[str]:
    """Yield every input that differs from what its job made, in the study or in the cache."""
    made = {f"{start}{name}": file.get("sha256") for name, file in closure.made.items()}
    for name in closure.made:
        if name.startswith("inputs/") and name.endswith(f"/{CACHE_RECORD}") and (closure.folder / name).is_file():
            made |= {file["path"]: file["sha256"] for file in read_record(closure.folder / name)["outputs"]}
    for record, content in sorted(closure.records.items()):
        for file in content["inputs"]:
            if made.get(file["path"], file["sha256"]) != file["sha256"]:
                yield f"{closure.folder}/{record} is stale: it was made from another {file['path']}"


def _unmade(folder: Path, path: str) -> str:
    if not (folder / path).is_file():
        return f"{folder / path} is missing"
    return f"{folder / path} has no record below {folder}/records/"


def _unrecorded(folder: Path) -> Iterator[str]:
    """Yield the records that are missing although the run of the same job exists."""
    for run in sorted((folder / "runs").rglob("*.json")):
        inner = run.relative_to(folder / "runs")
        if inner.parts[0] not in UNSETTLED and not (folder / "records" / inner).is_file():
            yield (Path("records") / inner).as_posix()
