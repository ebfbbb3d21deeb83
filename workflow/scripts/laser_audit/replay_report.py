"""Writing the report again from a mirror of the study, and comparing all files that do not differ by run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, digest, text_of

SCRIPT = "report"
RECORD = "records/report/report.json"
PAGE, VOLATILE = "report/index.html", "report/run.html"


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
    words = [sys.executable, str(scripts / f"{SCRIPT}.py"), "--spec", json.dumps(record["spec"])]
    words += ["--results", str(mirror), "--cache", str(cache)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LASER_")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800, env=environment)
    if done.returncode != 0:
        check.fail(RECORD, "made again", (done.stderr.strip().splitlines() or ["no message"])[-1], "exit status 0")
        return
    # If there is no separate page for what differs by run, the report's page has the timings.
    varying = VOLATILE if study.has(VOLATILE) else PAGE
    for path in study.files:
        if path.startswith("report/") and path != varying:
            check.count += 1
            made = mirror / path
            if not made.is_file() or made.read_bytes() != study.locate(path).read_bytes():
                check.fail(path, "", "other bytes", f"those that {SCRIPT}.py writes")
