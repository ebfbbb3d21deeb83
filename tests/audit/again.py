"""Replay of some artefacts alone."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

from laser.replay.choices import Results, compared
from laser_audit import replay
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.records import records
from laser_audit.run import Report
from laser_audit.study_code import run_code
from tests.workflow.runner import HANDOVER, ROOT

SCRIPTS = ROOT / "workflow/scripts"


def quick_code(*words: str, scripts: Path, given: str = "") -> tuple[str, str]:
    """Do what `laser_audit.study_code.run_code` does, without the slow imports."""
    with mock.patch.dict(os.environ, HANDOVER_OF_TESTS=HANDOVER.address):
        return run_code(*words, scripts=Path(f"{HANDOVER.folder}{os.pathsep}{scripts}"), given=given)


def made_again(folder: Path, *artefacts: str) -> tuple[Check, Report]:
    """Make artefacts again (also `report`, `manifest`); return the check and the report that it stands in."""
    report, check = Report(Study(folder), "", [], []), Check("replay", "", "")
    with mock.patch.object(replay, "run_code", quick_code):
        planned = replay.plan_again(report.study, SCRIPTS)
    known = {name: spec for name, spec in planned.artefacts.items() if name in artefacts}
    again = Path(tempfile.mkdtemp(prefix="again-", dir=folder.parent))
    parts = {"REPORT": "report", "MANIFEST": "manifest"}
    without = {name: "" for name, part in parts.items() if part not in artefacts}
    with mock.patch.multiple(replay, run_code=quick_code, **without):
        replay.check_made(check, report, replace(planned, artefacts=known), SCRIPTS, again, lambda line: None)
    report.checks.append(check)
    return check, report


def chosen_again(folder: Path, other_code: str = "") -> tuple[Check, Report]:
    """Return the check of choices, made again in this process; `other_code` is the record of a job of other code."""
    report, check = Report(Study(folder), "", [], []), Check("choices", "", "")
    printed = json.dumps(list(compared(Results(folder))), default=float)
    codes = {path: {"codes": [record["code"]]} for path, record in records(report.study).items()}
    codes |= {other_code: {"codes": []}} if other_code else {}
    with mock.patch.object(replay, "run_code", lambda *words, scripts: (printed, "")):
        replay.check_choices(check, report, replay.Planned({}, [], codes, {}, "", {}), SCRIPTS)
    return check, report
