"""Writing the report again from a mirror of the study, and comparing all files that do not differ by run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser_audit.findings import Check
from laser_audit.manifest import VOLATILE
from laser_audit.reading import Study, digest, text_of
from laser_audit.study_code import compare, run_code

RECORD = "records/report/report.json"


def captions(scripts: Path) -> str:
    """Return the hash of the checkout's captions and templates, which is part of the report's spec, not of its code."""
    folders = (scripts.parent / "report", scripts / "laser/report/templates")
    files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    return digest({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}, 16)


def write_again(check: Check, study: Study, record: Mapping[str, Any], scripts: Path, folder: Path) -> None:
    """Write the report into `folder` and compare all its files except the run's page.

    Args:
        check: takes the findings.
        study: the study.
        record: of the study's report.
        scripts: the folder of the repository's scripts.
        folder: a temporary one; a mirror of the study is made in it, as the report links to files beside itself.
    """
    mirror = folder / text_of(study.settings["name"]).replace("/", "-")
    mirror.mkdir(parents=True)
    for item in study.folder.iterdir():
        if item.name not in ("report", "audit") and not item.is_symlink():
            (mirror / item.name).symlink_to(item.resolve())
    cache, files = folder / "cache", record["spec"]["files"]
    for kind, entries in (("models", files["models"]), ("data", files["datasets"])):
        (cache / kind).mkdir(parents=True)
        for entry in entries:
            card = study.locate(f"inputs/{kind}/{text_of(entry['name'])}/card.json")
            (cache / kind / text_of(entry["key"])).symlink_to(card.parent.resolve())
    words = ["--spec", json.dumps(record["spec"]), "--results", str(mirror), "--cache", str(cache)]
    _, reason = run_code(str(scripts / "report.py"), *words, scripts=scripts)
    if reason:
        check.fail(RECORD, "made again", reason, "exit status 0")
        return
    for path in study.files:
        if path.startswith("report/") and path not in VOLATILE:
            compare(check, study, path, mirror / path, "the report")
