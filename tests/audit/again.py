"""Replay of some parts of a study alone, in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

from laser.replay import study as again
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.run import Report


def made_again(folder: Path, *parts: str) -> tuple[Check, Report]:
    """Make artefacts again (also `report`, `manifest`); return the check and the report that it stands in."""
    report, check = Report(Study(folder), "", [], []), Check("replay", "", "")
    plan = again.plan_again(report.study)
    made = Path(tempfile.mkdtemp(prefix="again-", dir=folder.parent))
    artefacts = [name for name in plan.study["artefacts"] if name in parts]
    again.check_artefacts(check, report, plan, artefacts, made)
    for part, check_part in (("report", again.check_report), ("manifest", again.check_manifests)):
        if part in parts:
            check_part(check, report, plan, made / part)
    report.checks.append(check)
    return check, report


def planned_again(folder: Path) -> tuple[Check, Report]:
    """Return the check of the plan, and the report that it stands in."""
    report, check = Report(Study(folder), "", [], []), Check("plan", "", "")
    again.check_plan(check, report, again.plan_again(report.study))
    report.checks.append(check)
    return check, report


def chosen_again(folder: Path, other_code: str = "") -> tuple[Check, Report]:
    """Return the check of choices, made again; `other_code` is the record of a job of other code."""
    report, check = Report(Study(folder), "", [], []), Check("choices", "", "")

    def codes(plan: object, path: str, record: dict) -> list[str]:
        return [] if path == other_code else [record["code"]]

    with mock.patch.object(again, "_codes", codes):
        again.check_choices(check, report, None)
    return check, report
