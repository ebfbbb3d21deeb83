"""The manifest of a study: every file with its hash and the record of what made it.

manifest.json lists the deterministic files, and is the same for equal studies; manifest-run.json lists the files that
differ from run to run. Both name the files that neither covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from laser.io.files import digest, sha256_file
from laser.io.records import CACHE_RUN, SCHEMA
from laser.provenance.closure import UNSETTLED, Closure

MANIFEST, MANIFEST_RUN = "manifest.json", "manifest-run.json"
CRATE = "ro-crate-metadata.json"
CACHE_JOBS = ("fetch", "prepare", "corpus", "train", "text", "rooms", "episodes", "train_policy")
"""Rules that fill the cache: logs are in the study that ran them, records in every study that uses their outputs."""
VOLATILE = ("report/run.html", CRATE)
PER_JOB = {"runs": ".json", "logs": ".log"}
"""Folders with a volatile file per job, beside records/."""
NOT_COVERED = (
    MANIFEST,
    MANIFEST_RUN,
    "audit/",
    "export/",
    *(f"{folder}/{rule}/" for folder in ("records", *PER_JOB) for rule in UNSETTLED),
)


def deterministic_files(closure: Closure) -> list[dict[str, Any]]:
    """Return path, sha256, bytes and record of each deterministic file; a record has no record of its own."""
    files = [{"path": name} | file for name, file in closure.made.items()]
    files += [_entry(closure.folder, name, None) for name in closure.records]
    return sorted(files, key=lambda file: file["path"])


def volatile_files(closure: Closure) -> list[dict[str, Any]]:
    """Return path, sha256, bytes and record of each volatile file that the study's jobs left."""
    files = [_entry(closure.folder, name, None) for name in VOLATILE if (closure.folder / name).is_file()]
    for path in sorted((closure.folder / "inputs").rglob(CACHE_RUN)):
        files.append(_entry(closure.folder, path.relative_to(closure.folder).as_posix(), None))
    for folder, ending in PER_JOB.items():
        for path in sorted((closure.folder / folder).rglob(f"*{ending}")):
            inner = path.relative_to(closure.folder / folder)
            record = f"records/{inner.as_posix().removesuffix(ending)}.json"
            if record in closure.records:
                files.append(_entry(closure.folder, f"{folder}/{inner.as_posix()}", record))
            elif inner.parts[0] in CACHE_JOBS:
                files.append(_entry(closure.folder, f"{folder}/{inner.as_posix()}", None))
    return sorted(files, key=lambda file: file["path"])


def _entry(folder: Path, name: str, record: str | None) -> dict[str, Any]:
    path = folder / name
    return {"path": name, "sha256": sha256_file(path), "bytes": path.stat().st_size, "record": record}


def is_covered(name: str) -> bool:
    """Return True if a file, given by its path below the study's folder, must be in one of the manifests."""
    return not any(
        name.startswith(excluded) if excluded.endswith("/") else name == excluded for excluded in NOT_COVERED
    )


def manifest(spec: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of a manifest.

    Args:
        spec: spec of the manifest's job; has `study` (its name) and `title`.
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
    """Return the files that no job of the current study made, sorted: from earlier settings, or made by hand."""
    named = {file["path"] for manifest in manifests for file in manifest["files"]}
    present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(name for name in present if name not in named and is_covered(name))


def untracked_state(results: str | Path) -> str:
    """Return a hash of the files that a manifest lists and that are no outputs of Snakemake's rules.

    As a param of the manifest's job it lets Snakemake notice that such a file was made again, changed or deleted:
    Snakemake evaluates params again just before a job starts, and compares them at the next run. Of the report's
    files, which have their hashes in its record, the names and sizes are enough.
    """
    folder = Path(results)
    state: dict[str, str | int] = {}
    for name in ("logs", "report"):
        for path in sorted((folder / name).rglob("*")):
            inner = path.relative_to(folder).as_posix()
            # A file that another process is writing has a hidden temporary name.
            if path.is_file() and is_covered(inner) and not path.name.startswith("."):
                state[inner] = path.stat().st_size if name == "report" else sha256_file(path)
    return digest(state, 16)
