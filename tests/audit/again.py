"""Replay of some artefacts alone."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

from laser_audit import replay
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.run import Report
from tests.workflow.runner import ROOT

SCRIPTS = ROOT / "workflow/scripts"


def made_again(folder: Path, *artefacts: str) -> tuple[Check, Report]:
    """Make artefacts again (`report` is one too); return the check and the report that it stands in."""
    report, check = Report(Study(folder), "", [], []), Check("replay", "", "")
    planned = replay.plan_again(report.study, SCRIPTS)
    known = {name: spec for name, spec in planned.artefacts.items() if name in artefacts}
    again = Path(tempfile.mkdtemp(prefix="again-", dir=folder.parent))
    with mock.patch.object(replay, "RECORD", replay.RECORD if "report" in artefacts else ""):
        replay.check_made(check, report, replace(planned, artefacts=known), SCRIPTS, again, lambda line: None)
    report.checks.append(check)
    return check, report
