"""The manifest of a study: every file with its hash and the record of what made it.

manifest.json holds the deterministic files, and is the same for equal studies; manifest-run.json what differs from run
to run. What neither covers is listed in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from laser.io.files import sha256_file
from laser.io.records import CACHE_RUN, SCHEMA
from laser.provenance.closure import UNSETTLED, Closure

MANIFEST, MANIFEST_RUN = "manifest.json", "manifest-run.json"
CRATE = "ro-crate-metadata.json"
CACHE_JOBS = ("fetch", "prepare", "corpus", "train", "text", "rooms", "episodes", "train_policy")
"""Rules that fill the cache: logs are in the study that ran them, records in every study that uses what they made."""
VOLATILE = ("report/run.html", CRATE)
PER_JOB = {"runs": ".json", "logs": ".log", "benchmarks": ".jsonl"}
"""Folders with a volatile file per job, beside records/."""
NOT_COVERED = (
    MANIFEST,
    MANIFEST_RUN,
    "audit/",
    "export/",
    *(f"{folder}/{rule}/" for folder in ("records", *PER_JOB) for rule in UNSETTLED),
)


def deterministic_files(found: Closure) -> list[dict[str, Any]]:
    """Return path, sha256, bytes and record of each deterministic file; a record has none itself."""
    files = [{"path": name} | one for name, one in found.made.items()]
    files += [_entry(found.folder, name, None) for name in found.records]
    return sorted(files, key=lambda one: one["path"])


def volatile_files(found: Closure) -> list[dict[str, Any]]:
    """Return path, sha256, bytes and record of each volatile file that the study's jobs left."""
    files = [_entry(found.folder, name, None) for name in VOLATILE if (found.folder / name).is_file()]
    for path in sorted((found.folder / "inputs").rglob(CACHE_RUN)):
        files.append(_entry(found.folder, path.relative_to(found.folder).as_posix(), None))
    for folder, ending in PER_JOB.items():
        for path in sorted((found.folder / folder).rglob(f"*{ending}")):
            inner = path.relative_to(found.folder / folder)
            record = f"records/{inner.as_posix().removesuffix(ending)}.json"
            if record in found.records:
                files.append(_entry(found.folder, f"{folder}/{inner.as_posix()}", record))
            elif inner.parts[0] in CACHE_JOBS:
                files.append(_entry(found.folder, f"{folder}/{inner.as_posix()}", None))
    return sorted(files, key=lambda one: one["path"])


def _entry(folder: Path, name: str, record: str | None) -> dict[str, Any]:
    path = folder / name
    return {"path": name, "sha256": sha256_file(path), "bytes": path.stat().st_size, "record": record}


def is_covered(name: str) -> bool:
    """Whether a file, by its path below the study's folder, must stand in one of the manifests."""
    return not any(name.startswith(one) if one.endswith("/") else name == one for one in NOT_COVERED)


def manifest(spec: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a manifest as it is written.

    Args:
        spec: of the job that makes it; has `study` (its name) and `title`.
        files: `deterministic_files` or `volatile_files`.
    """
    return {
        "schema": SCHEMA,
        "study": spec["study"],
        "title": spec["title"],
        "spec": spec,
        "not_covered": sorted(NOT_COVERED),
        "files": list(files),
    }


def left_over(folder: Path, *manifests: Mapping[str, Any]) -> list[str]:
    """Return the files that no job of the study made as it is now, from earlier settings or by hand; sorted."""
    named = {one["path"] for each in manifests for one in each["files"]}
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(name for name in there if name not in named and is_covered(name))
