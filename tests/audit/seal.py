"""What someone who means it does after an edit: every hash in records and manifests made to fit again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Set
from pathlib import Path

COVERED = re.compile(r"^(?!manifest(-run)?\.json$|audit/|export/|(records|runs|logs)/(manifest|export)/)")


HASHES: dict[tuple[str, int, int], str] = {}


def facts(folder: Path) -> dict[str, dict[str, str | int]]:
    """Map each file of a study to its sha256 and bytes; a file a second old is read once for all copies of a study."""
    files, start, now = {}, len(f"{folder}/"), time.time_ns()
    for path in (f"{inside}/{name}" for inside, _, names in os.walk(folder) for name in names):
        known = os.stat(path)
        key = (path[start:], known.st_size, known.st_mtime_ns)
        digest = HASHES.get(key) or hashlib.sha256(Path(path).read_bytes()).hexdigest()
        if now - known.st_mtime_ns > 1_000_000_000:  # a younger one may be written again within a tick of the clock
            HASHES[key] = digest
        files[path[start:]] = {"sha256": digest, "bytes": known.st_size}
    return files


def reseal(folder: Path) -> None:
    """Make all hashes fit the files as they are, in every record, in the provenance files, and in both manifests.

    Files that are gone leave the manifest and the records, new ones join the manifest.
    """
    start = f"results/{json.loads((folder / 'manifest.json').read_text())['study']}/"
    manifests = {name: json.loads((folder / name).read_text()) for name in ("manifest.json", "manifest-run.json")}
    known = {one["path"]: one["sha256"] for each in manifests.values() for one in each["files"]}
    _copy_into_report(folder, known, facts(folder))
    for _ in range(20):
        there = facts(folder)
        changed = {
            sha: there[path]["sha256"] for path, sha in known.items() if path in there and there[path]["sha256"] != sha
        }
        if not changed:
            break
        known = {path: changed.get(sha, sha) for path, sha in known.items()}
        _replace(folder, start, changed, there, known.keys() - there.keys())
    for manifest in manifests.values():
        manifest["files"] = [one | there[one["path"]] for one in manifest["files"] if one["path"] in there]
    named = {one["path"] for manifest in manifests.values() for one in manifest["files"]}
    manifest = manifests["manifest.json"]
    new = sorted(path for path in there.keys() - named if COVERED.match(path))
    manifest["files"] += [{"path": path, "record": None} | there[path] for path in new]
    manifest["files"].sort(key=lambda one: one["path"])
    for name in manifests:
        write(folder / name, manifests[name])


def _copy_into_report(folder: Path, known: dict[str, str], there: dict[str, dict[str, str | int]]) -> None:
    """Let the report's copies follow tables and figures that have changed, or are gone."""
    for path, sha in known.items():
        kind, _, inner = path.partition("/")
        shown = "media" if (folder / path).with_suffix(".gif").is_file() else kind
        copy = f"report/{shown}/{inner.replace('/', '-')}"
        if kind not in ("tables", "figures") or copy not in there:
            continue
        if path not in there:
            (folder / copy).unlink()
        elif there[path]["sha256"] != sha:
            (folder / copy).write_bytes((folder / path).read_bytes())


def _replace(
    folder: Path, start: str, changed: dict[str, str], there: dict[str, dict[str, str | int]], gone: Set[str]
) -> None:
    """Put new hashes and lengths into every record, and new hashes into the study's other descriptions of itself."""
    sizes = {each["sha256"]: each["bytes"] for path, each in there.items() if path.startswith("inputs/")}
    for name in there:
        if not re.match(r"records/.*\.json$|inputs/(.*/)?record\.json$", name):
            continue
        text = (folder / name).read_text()
        if not any(sha in text for sha in changed) and not any(path in text for path in gone):
            continue
        record = json.loads(text)
        for kind in ("inputs", "outputs"):
            kept = []
            for one in record.get(kind, []):
                path = one["path"].removeprefix(start)
                if one["path"].startswith(start) and path not in there:
                    continue
                if one["path"].startswith(start):
                    one |= there[path]
                elif one["sha256"] in changed:
                    one |= {"sha256": changed[one["sha256"]], "bytes": sizes[changed[one["sha256"]]]}
                kept.append(one)
            record[kind] = kept
        write(folder / name, record)
    crate = folder / "ro-crate-metadata.json"
    if crate.is_file():
        text = crate.read_text()
        for old, new in changed.items():
            text = text.replace(old, new)
        crate.write_text(text)


def write(path: Path, value: object) -> None:
    """Write JSON as the workflow does."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
