"""The two manifests: they must be well-formed, and the folder must hold exactly the files that they name."""

from __future__ import annotations

from typing import Any

from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, remembered

MANIFEST, MANIFEST_RUN, CRATE = "manifest.json", "manifest-run.json", "ro-crate-metadata.json"
FOLDERS = ("records", "runs", "logs")
NOT_COVERED = sorted(
    (
        MANIFEST,
        MANIFEST_RUN,
        "audit/",
        "export/",
        *(f"{folder}/{job}/" for folder in FOLDERS for job in ("export", "manifest")),
    )
)
"""Files that no manifest covers: the manifests themselves, the job that writes them, exports, and audits."""

RUN_PAGE = "report/run.html"
VOLATILE = (RUN_PAGE, CRATE)


def is_volatile(path: str) -> bool:
    """Return True if a file differs from run to run, and so belongs in manifest-run.json."""
    inner = path.split("/")
    return path in VOLATILE or inner[0] in ("runs", "logs") or (inner[0] == "inputs" and inner[-1] == "run.json")


def is_covered(path: str) -> bool:
    """Return True if a file must be in a manifest."""
    return path not in NOT_COVERED and not path.startswith(tuple(each for each in NOT_COVERED if each.endswith("/")))


@remembered
def listed(study: Study, name: str) -> dict[str, dict[str, Any]]:
    """Return a manifest's files by path; malformed entries are left out (`check_manifests` reports them)."""
    files = study.json(name).get("files")
    if not isinstance(files, list):
        raise Unreadable(name, "has no list 'files'")
    return {entry["path"]: entry for entry in files if isinstance(entry, dict) and isinstance(entry.get("path"), str)}


def check_manifests(check: Check, study: Study) -> None:
    """Check what both manifests say about the study, and that each names the files that belong in it."""
    for name in (MANIFEST, MANIFEST_RUN):
        with check.guarded(name):
            whole = study.json(name)
            expected = {key: study.settings[of] for key, of in (("study", "name"), ("title", "title"))}
            expected |= {"schema": 1, "not_covered": NOT_COVERED}
            for key, value in expected.items():
                check.same(name, key, whole[key], value)
            check.same(name, "spec.study", whole["spec"]["study"], study.settings["name"])
            check.same(name, "keys", sorted(whole), sorted({*expected, "spec", "files"}))
            paths = [entry["path"] for entry in whole["files"]]
            check.same(name, "files named twice", len(paths) - len(set(paths)), 0)
            for path in paths:
                check.same(path, "volatile, and so in manifest-run.json", name == MANIFEST_RUN, is_volatile(path))
                check.holds(name, path, is_covered(path), "named", "no entry: a manifest does not cover it")
    with check.guarded(MANIFEST_RUN):
        check.same(MANIFEST_RUN, f"names {CRATE}", CRATE in listed(study, MANIFEST_RUN), True)
        for path in sorted(set(listed(study, MANIFEST)) & set(listed(study, MANIFEST_RUN))):
            check.fail(path, "", "in both manifests", "in one")


def check_files(check: Check, study: Study) -> None:
    """Hash every file that a manifest names, and report files that none names."""
    named: dict[str, dict[str, Any]] = {}
    for name in (MANIFEST, MANIFEST_RUN):
        with check.guarded(name):
            named |= listed(study, name)
    for path, entry in sorted(named.items()):
        with check.guarded(path):
            check.count += 1
            for key, value in (("bytes", study.bytes_of(path)), ("sha256", study.sha256(path))):
                if value != entry[key]:
                    check.fail(path, key, value, entry[key])
    for path, plain in study.files.items():
        if not plain:
            check.fail(path, "", "a symbolic link or special file", "a plain file")
        elif path not in named and is_covered(path):
            check.fail(path, "", "a file", "none: no manifest names it")
