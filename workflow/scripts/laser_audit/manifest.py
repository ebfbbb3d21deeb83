"""The two manifests: that they are whole, and that the folder holds exactly what they say."""

from __future__ import annotations

import re
from typing import Any

from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, remembered

MANIFEST, MANIFEST_RUN = "manifest.json", "manifest-run.json"
FOLDERS = ("records", "runs", "logs", "benchmarks")
NOT_COVERED = sorted(
    (
        MANIFEST,
        MANIFEST_RUN,
        "audit/",
        "export/",
        *(f"{one}/{job}/" for one in FOLDERS for job in ("export", "manifest")),
    )
)
"""What no manifest can or must cover: the manifests themselves, the job that writes them, exports, and audits."""

VOLATILE = ("report/run.html", "ro-crate-metadata.json")
SHA256 = re.compile(r"[0-9a-f]{64}")
KEYS = {"path", "sha256", "bytes", "record"}


def is_volatile(path: str) -> bool:
    """Whether a file differs from run to run, and so stands in manifest-run.json."""
    inner = path.split("/")
    return (
        path in VOLATILE
        or inner[0] in ("runs", "logs", "benchmarks")
        or (inner[0] == "inputs" and inner[-1] == "run.json")
    )


def is_covered(path: str) -> bool:
    """Whether a file must stand in a manifest."""
    return not any(path.startswith(one) if one.endswith("/") else path == one for one in NOT_COVERED)


@remembered
def listed(study: Study, name: str) -> dict[str, dict[str, Any]]:
    """Return a manifest's files by path; entries that are none are left out (`check_manifests` names them)."""
    found = study.json(name).get("files")
    if not isinstance(found, list):
        raise Unreadable(name, "has no list 'files'")
    return {one["path"]: one for one in found if isinstance(one, dict) and isinstance(one.get("path"), str)}


def check_manifests(check: Check, study: Study) -> None:
    """Look at the form of both manifests."""
    for name in (MANIFEST, MANIFEST_RUN):
        with check.guarded(name):
            whole = study.json(name)
            check.same(name, "schema", whole["schema"], 1)
            check.same(name, "study", whole["study"], study.settings["name"])
            check.same(name, "title", whole["title"], study.settings["title"])
            check.same(name, "spec.study", whole["spec"]["study"], study.settings["name"])
            check.same(name, "not_covered", whole["not_covered"], NOT_COVERED)
            extra = sorted(set(whole) - {"schema", "study", "title", "spec", "not_covered", "files"})
            check.same(name, "keys that do not belong there", extra, [])
            paths = [one["path"] for one in whole["files"]]
            check.same(name, "order of files", paths == sorted(paths), True)
            check.same(name, "files named twice", len(paths) - len(set(paths)), 0)
            for one in whole["files"]:
                _entry(check, name, one)
    with check.guarded(MANIFEST_RUN):
        for path in sorted(set(listed(study, MANIFEST)) & set(listed(study, MANIFEST_RUN))):
            check.fail(path, "", "in both manifests", "in one")


def _entry(check: Check, name: str, one: dict[str, Any]) -> None:
    path = one["path"]
    check.same(name, f"keys of {path}", sorted(one), sorted(KEYS))
    if not (isinstance(one["sha256"], str) and SHA256.fullmatch(one["sha256"])):
        check.fail(name, f"sha256 of {path}", one["sha256"], "64 hex digits")
    size = one["bytes"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        check.fail(name, f"bytes of {path}", size, "a whole number of at least 0")
    check.same(path, "volatile, and so in manifest-run.json", name == MANIFEST_RUN, is_volatile(path))
    if not is_covered(path):
        check.fail(name, path, "named", "no entry: a manifest does not cover it")


def check_files(check: Check, study: Study) -> None:
    """Hash every file that a manifest names, and look for files that none names."""
    named: dict[str, dict[str, Any]] = {}
    for name in (MANIFEST, MANIFEST_RUN):
        with check.guarded(name):
            named |= listed(study, name)
    for path, one in sorted(named.items()):
        with check.guarded(path):
            check.count += 1
            size = study.bytes_of(path)
            if size != one["bytes"]:
                check.fail(path, "bytes", size, one["bytes"])
            if study.sha256(path) != one["sha256"]:
                check.fail(path, "sha256", study.sha256(path), one["sha256"])
    for path, plain in study.files.items():
        if not plain:
            check.fail(path, "", "a symbolic link or special file", "a plain file")
        elif path not in named and is_covered(path):
            check.fail(path, "", "a file", "none: no manifest names it")
