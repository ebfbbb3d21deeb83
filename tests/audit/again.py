"""Replay of some artefacts alone."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from laser_audit import replay
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.run import Report
from tests.workflow.runner import ROOT


def made_again(folder: Path, *artefacts: str) -> tuple[Check, Report]:
    """Make artefacts again (`report` is one too); return the check and the report that it stands in."""
    scripts = {name: script for name, script in replay.SCRIPTS.items() if name in artefacts}
    report = Report(Study(folder), "", [], [])
    with (
        mock.patch.object(replay, "SCRIPTS", scripts),
        mock.patch.object(replay, "RECORD", replay.RECORD if "report" in artefacts else ""),
    ):
        replay.replay(report, ROOT / "workflow/scripts", say=lambda line: None)
    (check,) = report.checks
    return check, report
