"""What someone who means it does after an edit: every hash in records and manifests made to fit again."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

COVERED = re.compile(r"^(?!manifest(-run)?\.json$|audit/|export/|(records|runs|logs|benchmarks)/(manifest|export)/)")


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reseal(folder: Path) -> None:
    """Make all hashes fit the files as they are, in every record, in the provenance files, and in both manifests.

    Files that are gone leave the manifest and the records, new ones join the manifest.
    """
    start = f"results/{json.loads((folder / 'manifest.json').read_text())['study']}/"
    manifests = {name: json.loads((folder / name).read_text()) for name in ("manifest.json", "manifest-run.json")}
    known = {one["path"]: one["sha256"] for each in manifests.values() for one in each["files"]}
    _copy_into_report(folder, known)
    for _ in range(20):
        changed = {
            sha: sha256(folder / path)
            for path, sha in known.items()
            if (folder / path).is_file() and sha256(folder / path) != sha
        }
        if not changed:
            break
        known = {path: changed.get(sha, sha) for path, sha in known.items()}
        _replace(folder, start, changed)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    named: set[str] = set()
    for name, manifest in manifests.items():
        kept = []
        for one in manifest["files"]:
            if one["path"] in there:
                path = folder / one["path"]
                kept.append(one | {"sha256": sha256(path), "bytes": path.stat().st_size})
                named.add(one["path"])
        manifest["files"] = kept
        write(folder / name, manifest)
    new = sorted(path for path in there - named if COVERED.match(path))
    manifest = manifests["manifest.json"]
    for path in new:
        entry = {"path": path, "sha256": sha256(folder / path), "bytes": (folder / path).stat().st_size}
        manifest["files"].append(entry | {"record": None})
    manifest["files"].sort(key=lambda one: one["path"])
    write(folder / "manifest.json", manifest)


def _copy_into_report(folder: Path, known: dict[str, str]) -> None:
    """Let the report's copies follow tables and figures that have changed, or are gone."""
    for path, sha in known.items():
        kind, _, inner = path.partition("/")
        shown = "media" if (folder / path).with_suffix(".gif").is_file() else kind
        copy = folder / "report" / shown / inner.replace("/", "-")
        if kind not in ("tables", "figures") or not copy.is_file():
            continue
        if not (folder / path).is_file():
            copy.unlink()
        elif sha256(folder / path) != sha:
            copy.write_bytes((folder / path).read_bytes())


def _replace(folder: Path, start: str, changed: dict[str, str]) -> None:
    """Put new hashes and lengths into every record, and new hashes into the study's other descriptions of itself."""
    sizes = {sha256(path): path.stat().st_size for path in (folder / "inputs").rglob("*") if path.is_file()}
    records = [*(folder / "records").rglob("*.json"), *(folder / "inputs").rglob("record.json")]
    for path in records:
        record = json.loads(path.read_text())
        before = json.dumps(record)
        for kind in ("inputs", "outputs"):
            kept = []
            for one in record.get(kind, []):
                place = folder / one["path"].removeprefix(start)
                if one["path"].startswith(start) and not place.is_file():
                    continue
                if one["path"].startswith(start):
                    one |= {"sha256": sha256(place), "bytes": place.stat().st_size}
                elif one["sha256"] in changed:
                    one |= {"sha256": changed[one["sha256"]], "bytes": sizes[changed[one["sha256"]]]}
                kept.append(one)
            record[kind] = kept
        if json.dumps(record) != before:
            write(path, record)
    for name in ("ro-crate-metadata.json",):
        path = folder / name
        if path.is_file():
            text = path.read_text()
            for old, new in changed.items():
                text = text.replace(old, new)
            path.write_text(text)


def write(path: Path, value: object) -> None:
    """Write JSON as the workflow does."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
