"""A finished study made again with the study's own code, from its own rows, and compared with its files.

python -m laser.replay.study RESULTS CACHE ANSWER says on standard output what is being made, and writes to ANSWER, as
JSON, the `checks`, `not_compared` and `notes` of a `laser_audit.run.Report`. What is made, from what, and by which
program is planned from inputs/study.json: nothing can be left out, and no command or path from a folder that someone
may have tampered with is ever run.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from laser.config.artefacts import artefact_spec, declared, described
from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.errors import UserError
from laser.io.records import packages
from laser.replay.choices import Results, compared
from laser.replay.inputs import check_inputs, reason_of, say
from laser.replay.plan import planned
from laser_audit.findings import Check, Unreadable, checked
from laser_audit.manifest import CRATE, MANIFEST, MANIFEST_RUN, RUN_PAGE, listed
from laser_audit.reading import Study, text_of
from laser_audit.records import records
from laser_audit.run import Report

SCRIPTS = Path(__file__).resolve().parents[2]
DRAWING = ("matplotlib", "numpy", "pandas", "scipy")
PICTURES = (".svg", ".pdf", ".gif")
OTHER_CODE = "other code than that of this checkout; check out the commit that the runs name"
STUDY, REPORT = "inputs/study.json", "records/report/report.json"
WHOLE_STUDY = ("inputs", "report")
"""Rules whose specs have further keys, which the checkout does not plan here: hashes of files that are compared."""


def replay(report: Report, cache: Path) -> None:
    """Plan the study again, make everything again, and add a check of each step to the report."""
    plan = Check("plan", "Every declaration and every job's settings are those that the checkout plans.", "facts")
    report.checks.append(plan)
    with plan.guarded(STUDY), tempfile.TemporaryDirectory(prefix="laser-replay-") as name:
        folder, again = Path(name), plan_again(report.study)
        check_plan(plan, report, again)
        steps: tuple[tuple[str, str, str, Callable[[Check], None]], ...] = (
            (
                "inputs",
                "Rows of datasets and facts of corpora, made again; what tokenizers cannot take.",
                "values",
                partial(check_inputs, report=report, cache=cache, folder=folder / "inputs"),
            ),
            (
                "choices",
                "Choices that files tell of, made again from the files that they rest on.",
                "facts",
                partial(check_choices, report=report, plan=again),
            ),
            (
                "replay",
                "Every table, figure, page, manifest and crate, made again, has the same bytes.",
                "files",
                partial(check_made, report=report, plan=again, folder=folder),
            ),
        )
        for step in steps:
            report.checks.append(checked(*step, without=report.not_compared))


def plan_again(study: Study) -> Plan:
    """Plan a study again from its settings. Raises Unreadable if the checkout cannot."""
    settings = {key: value for key, value in study.settings.items() if key != "artefact_files"}
    config = {"results": "results", "cache": "cache", "device": "auto", "threads": 1}
    try:
        plan = Plan(settings, config, SCRIPTS)
        described(plan)
    except Exception as error:  # the settings may hold anything
        raise Unreadable(STUDY, f"cannot be planned by this checkout ({reason_of(error)})") from error
    return plan


def job_again(plan: Plan, path: str, rule: str) -> tuple[dict[str, Any] | None, list[str], str]:
    """Return what `planned` does, and why the job cannot be planned (empty if it can)."""
    try:
        return *planned(plan, path, rule), ""
    except (UserError, OSError) as error:  # a user's file that is not on this machine
        return None, [], str(error)


def check_plan(check: Check, report: Report, plan: Plan) -> None:
    """Compare declarations and every job's settings and code with the checkout; report jobs run by other code."""
    study, others = report.study, []
    check.same(STUDY, "artefact_files (declared)", study.settings["artefact_files"], _as_read(described(plan)))
    for path, record in records(study).items():
        with check.guarded(path):
            check.count += 1
            (again, codes, reason), spec = job_again(plan, path, text_of(record["rule"])), record["spec"]
            if reason:
                report.not_compared.append((f"the settings of {path}", reason))
            elif record["code"] not in codes:
                others.append(text_of(record["rule"]))
            elif again is not None:
                for key in again.keys() - {"compute"}:
                    check.same(path, f"spec.{key} (planned again)", spec.get(key), again[key])
                if record["rule"] not in WHOLE_STUDY:
                    check.same(path, "spec, keys (planned again)", sorted(spec), sorted(again))
    if others:
        rules = ", ".join(dict.fromkeys(others))
        report.not_compared.append((f"the code of {len(others)} jobs ({rules})", OTHER_CODE))
    catalogue = read_yaml(SCRIPTS.parents[1] / "config/models.yaml")
    for entry in study.settings["models"]:
        known = catalogue.get(entry["name"])
        if known and entry["source"] != _as_read(known["source"]):
            report.notes.append(f"The model {entry['name']} is not the catalogue's: it is from {entry['source']}.")


def check_choices(check: Check, report: Report, plan: Plan) -> None:
    """Compare the choices in files with those that the files' inputs give (`laser.replay.choices`).

    Where a file made by other code differs, the choice may have followed another rule.
    """
    study = report.study
    makers, known = listed(study, MANIFEST), records(study)
    for path, where, value, expected in compared(Results(study.folder)):
        maker = makers.get(path, {}).get("record")
        value, expected = _as_read(value), _as_read(expected)
        if value != expected and maker in known and known[maker]["code"] not in _codes(plan, maker, known[maker]):
            report.not_compared.append((f"{path}, {where}", OTHER_CODE))
        else:
            check.same(path, where, value, expected)
    if check.passed and not check.count:
        check.skipped = "the study has none but its selections"


def check_made(check: Check, report: Report, plan: Plan, folder: Path) -> None:
    """Remake every table, figure and film, the report, and the manifests with the crate; compare bytes."""
    check_artefacts(check, report, plan, plan.study["artefacts"], folder)
    check_report(check, report, plan, folder / "page")
    check_manifests(check, report, plan, folder / "manifest")


def check_artefacts(check: Check, report: Report, plan: Plan, names: Iterable[str], folder: Path) -> None:
    """Remake artefacts, each in a folder of its name below `folder`, and compare their files."""
    study, results, installed = report.study, report.folder.resolve(), packages()
    writes = {entry["name"]: entry["writes"] for entry in described(plan)}
    for name in names:
        path = f"records/{name}/{name}.json"
        with check.guarded(path):
            record, spec = study.json(path), artefact_spec(plan, declared()[name])
            if record["code"] != json.loads(spec)["code"]:
                report.not_compared.append((name, OTHER_CODE))
                continue
            say(f"making {name} again")
            words = ["--spec", spec, "--results", str(results), "--inputs", str(results / "inputs")]
            if reason := run_script("make_artefact", *words, "--into", str(folder / name)):
                check.fail(path, "made again", reason, "exit status 0")
                continue
            drawn_alike = all(record["packages"].get(package) == installed.get(package) for package in DRAWING)
            if not drawn_alike and any(file.endswith(PICTURES) for file in writes[name]):
                report.not_compared.append((f"pictures of {name}", "made with other versions of the drawing packages"))
            for file in writes[name]:
                if drawn_alike or not file.endswith(PICTURES):
                    _compare(check, study, file, folder / name / file, name)


def check_report(check: Check, report: Report, plan: Plan, folder: Path) -> None:
    """Write the report again and compare its files."""
    study = report.study
    if REPORT not in records(study):
        return
    with check.guarded(REPORT):
        record = records(study)[REPORT]
        if record["code"] not in _codes(plan, REPORT, record):
            report.not_compared.append(("report", OTHER_CODE))
        elif plan.texts() != record["spec"]["texts"]:
            report.not_compared.append(("report", "made with other captions or templates than those here"))
        else:
            say("writing the report again")
            _whole(check, study, "report", record["spec"], folder, ("report", "audit"))


def check_manifests(check: Check, report: Report, plan: Plan, folder: Path) -> None:
    """Write both manifests and the crate again and compare their bytes."""
    study = report.study
    if not study.has(MANIFEST):
        return  # the check of manifests reports this
    with check.guarded(MANIFEST):
        title, evaluated = study.settings["title"], plan.evaluated()
        spec = json.loads(plan.study_spec("manifest", files=plan.files.spec(), title=title, evaluations=evaluated))
        if study.json(MANIFEST)["spec"].get("code") != spec["code"]:
            report.not_compared.append(("manifests and crate", OTHER_CODE))
        else:
            say("writing manifests and crate again")
            _whole(check, study, "manifest", spec, folder, (MANIFEST, MANIFEST_RUN, CRATE, "audit"))


def _codes(plan: Plan, path: str, record: dict[str, Any]) -> list[str]:
    """Return the fingerprints that the code of a record's job may have."""
    return job_again(plan, path, record["rule"])[1]


def _whole(check: Check, study: Study, script: str, spec: dict[str, Any], folder: Path, made: tuple[str, ...]) -> None:
    """Run a job about the whole study on a mirror without the job's outputs, and compare what it makes.

    Args:
        check: takes the findings.
        study: the study.
        script: the job's script.
        spec: the job's spec.
        folder: a temporary folder. The mirror links to the study's files, because pages link to files beside them.
        made: names in the study's folder that the mirror lacks.
    """
    mirror, cache = folder / text_of(study.settings["name"]).replace("/", "-"), folder / "cache"
    mirror.mkdir(parents=True)
    for item in study.folder.iterdir():
        if item.name not in made and not item.is_symlink():
            (mirror / item.name).symlink_to(item.resolve())
    for kind, entries in (("models", spec["files"]["models"]), ("data", spec["files"]["datasets"])):
        (cache / kind).mkdir(parents=True)
        for entry in entries:
            card = study.locate(f"inputs/{kind}/{text_of(entry['name'])}/card.json")
            (cache / kind / text_of(entry["key"])).symlink_to(card.parent.resolve())
    if reason := run_script(script, "--spec", json.dumps(spec), "--results", str(mirror), "--cache", str(cache)):
        check.fail(f"records/{script}/{script}.json", "made again", reason, "exit status 0")
        return
    again = {
        path.relative_to(mirror).as_posix() for name in made for path in [mirror / name, *(mirror / name).rglob("*")]
    }
    for path in sorted({path for path in again if (mirror / path).is_file()} | set(study.matching(f"{script}/", ""))):
        if path != RUN_PAGE:
            _compare(check, study, path, mirror / path, f"the {script}")


def run_script(name: str, *words: str) -> str:
    """Run a script of the workflow in this process; return why it failed, empty if it did not."""
    script, before, said = str(SCRIPTS / f"{name}.py"), sys.argv, io.StringIO()
    sys.argv = [script, *words]
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        return (said.getvalue().strip().splitlines() or ["no message"])[-1] if ended.code else ""
    finally:
        sys.argv = before
    return ""


def _compare(check: Check, study: Study, path: str, again: Path, maker: str) -> None:
    """Compare a file of the study with the one that `maker` remade."""
    with check.guarded(path):
        equal = again.is_file() and again.read_bytes() == study.locate(path).read_bytes()
        check.holds(path, "", equal, "other bytes", f"those of {maker}, made again from the study's rows")


def _as_read(value: Any) -> Any:
    """Return a value as it is when it is read from a JSON file."""
    return json.loads(json.dumps(value, default=float))


def main(results: str, cache: str, answer: str) -> None:
    """Replay a study's folder and write what was found."""
    report = Report(Study(Path(results)), "", [], [])
    replay(report, Path(cache))
    found = {
        "checks": [asdict(check) for check in report.checks],
        "not_compared": report.not_compared,
        "notes": report.notes,
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
