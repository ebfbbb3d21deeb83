"""Making a study again from its own rows, with the study's own code, and comparing bytes.

The checkout plans again from inputs/study.json what to make, from what, and by which program
(`replay_inputs.plan_again`): nothing can be left out, and no command or path from a folder that someone may have
tampered with is ever run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from laser_audit.findings import Check, checked
from laser_audit.records import records
from laser_audit.replay_inputs import OTHER_CODE, Planned, check_code, check_inputs, check_sources, plan_again
from laser_audit.replay_report import RECORD, captions, write_again
from laser_audit.run import Report
from laser_audit.study_code import compare, run_code

REPLAYS = ("never", "auto", "always")
NEEDED = ("scipy", "statsmodels", "matplotlib", "cmcrameri")
DRAWING = ("matplotlib", "numpy", "pandas", "scipy")
PICTURES = (".svg", ".pdf", ".gif")


def replay(
    report: Report, scripts: Path, cache: Path, when: str = "always", say: Callable[[str], None] = print
) -> None:
    """Make rows, tables, figures and report again and compare; `auto` does so where the packages are installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        why = f"the packages {', '.join(missing)} are not installed here"
        where = report.left if when == "auto" else report.not_compared
        where.append(("tables, figures, report and data, made again (--replay)", why))
        return
    study = report.study
    plan = Check("plan", "Every artefact's declaration and settings are those of the checkout.", "facts")
    report.checks.append(plan)
    with plan.guarded("inputs/study.json"), tempfile.TemporaryDirectory(prefix="laser-replay-") as folder:
        planned = plan_again(study, scripts)
        check_code(plan, report, planned)
        check_sources(report, planned)
        inputs = partial(
            check_inputs, report=report, scripts=scripts, cache=cache, folder=Path(folder) / "inputs", say=say
        )
        about = "Rows of datasets and facts of corpora, made again; what tokenizers cannot take."
        report.checks.append(checked("inputs", about, "values", inputs, report.not_compared))
        made = partial(check_made, report=report, planned=planned, scripts=scripts, folder=Path(folder), say=say)
        about = "Every table, figure and page, made again from the rows, has the same bytes."
        report.checks.append(checked("replay", about, "files", made, report.not_compared))


def check_made(
    check: Check,
    report: Report,
    planned: Planned,
    scripts: Path,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Make every table, figure and film again, and the report, and compare bytes."""
    study = report.study
    for name, spec in planned.artefacts.items():
        path = f"records/{name}/{name}.json"
        with check.guarded(path):
            record = study.json(path)
            if record["code"] != spec["code"]:
                report.not_compared.append((name, OTHER_CODE))
                continue
            check.same(path, "spec (planned again)", record["spec"], spec)
            say(f"  making {name} again")
            _again(check, report, planned, name, record, scripts, folder / name)
    if RECORD in records(study):
        with check.guarded(RECORD):
            record = records(study)[RECORD]
            if record["code"] not in planned.codes[RECORD]:
                report.not_compared.append(("report", OTHER_CODE))
            elif captions(scripts) != record["spec"]["texts"]:
                report.not_compared.append(("report", "made with other captions or templates than those here"))
            else:
                say("  writing the report again")
                write_again(check, study, record, scripts, folder / "report")


def _again(
    check: Check,
    report: Report,
    planned: Planned,
    name: str,
    record: dict[str, Any],
    scripts: Path,
    folder: Path,
) -> None:
    """Make one artefact in `folder` and compare its files."""
    study = report.study
    words = ["--spec", json.dumps(planned.artefacts[name]), "--results", str(study.folder.resolve())]
    words += ["--inputs", str(study.folder.resolve() / "inputs"), "--into", str(folder)]
    _, reason = run_code(str(scripts / "make_artefact.py"), *words, scripts=scripts)
    if reason:
        check.fail(f"records/{name}/{name}.json", "made again", reason, "exit status 0")
        return
    drawn_alike = all(record["packages"].get(package) == _version(package) for package in DRAWING)
    if not drawn_alike and any(path.endswith(PICTURES) for path in planned.writes[name]):
        report.not_compared.append((f"pictures of {name}", "made with other versions of the drawing packages"))
    for path in planned.writes[name]:
        if drawn_alike or not path.endswith(PICTURES):
            compare(check, study, path, folder / path, name)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
