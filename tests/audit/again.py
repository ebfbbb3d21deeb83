"""Replay of some artefacts alone."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from laser.replay.choices import Results, compared
from laser_audit import replay
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.records import records
from laser_audit.run import Report
from laser_audit.study_code import run_code
from tests.workflow.runner import FORKS, ROOT

SCRIPTS = ROOT / "workflow/scripts"


def quick_code(*words: str, **settings: Any) -> tuple[str, str]:
    """Do what `laser_audit.study_code.run_code` does, without the slow imports."""

    def forked(line, *, env, input, **_):
        what, *arguments = line[2:] if line[1] in ("-m", "-c") else line[1:]
        return FORKS.run(what, arguments, env, given=input)

    with mock.patch("laser_audit.study_code.subprocess.run", forked):
        return run_code(*words, **settings)


def planned_again(study: Study) -> replay.Planned:
    """Plan a study again, without the slow imports."""
    with mock.patch.object(replay, "run_code", quick_code):
        return replay.plan_again(study, SCRIPTS)


def made_again(folder: Path, *artefacts: str) -> tuple[Check, Report]:
    """Make artefacts again (also `report`, `manifest`); return the check and the report that it stands in."""
    report, check = Report(Study(folder), "", [], []), Check("replay", "", "")
    planned = planned_again(report.study)
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
