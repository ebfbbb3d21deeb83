"""Remakes a study from its own rows, with the study's own code, and compares bytes.

From inputs/study.json, the checkout plans again what to make, from what, and by which program (`laser.replay.plan`):
nothing can be left out, and no command or path from a folder that someone may have tampered with is ever run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from laser_audit.findings import Check, Unreadable, checked
from laser_audit.manifest import CRATE, MANIFEST, MANIFEST_RUN, RUN_PAGE, listed
from laser_audit.reading import Study, text_of
from laser_audit.records import records
from laser_audit.replay_inputs import check_inputs
from laser_audit.run import Report
from laser_audit.study_code import SECONDS, compare, run_code

REPLAYS = ("never", "auto", "always")
NEEDED = ("scipy", "matplotlib", "cmcrameri", "rocrate")
DRAWING = ("matplotlib", "numpy", "pandas", "scipy")
PICTURES = (".svg", ".pdf", ".gif")
OTHER_CODE = "other code than that of this checkout; check out the commit that the runs name"
STUDY, REPORT = "inputs/study.json", "records/report/report.json"
WHOLE_STUDY = ("inputs", "report")
"""Rules whose specs have further keys, which the checkout does not plan here: hashes of files that are compared."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """What the checkout plans for the settings of a study (`laser.replay.plan`).

    Attributes:
        artefacts: name to the spec of its job.
        described: the declarations, as inputs/study.json has them.
        jobs: record to `spec`, `codes` (fingerprints that the job's code may have) and, if it has no plan, `reason`.
        manifest: the spec of the manifest's job.
        texts: hash of the captions and templates of the report.
        sources: the models' sources in the checkout's catalogue, by name.
    """

    artefacts: dict[str, dict[str, Any]]
    described: list[dict[str, Any]]
    jobs: dict[str, dict[str, Any]]
    manifest: dict[str, Any]
    texts: str
    sources: dict[str, dict[str, Any]]


def replay(report: Report, scripts: Path, cache: Path, when: str = "always", say: Say = print) -> None:
    """Remake rows, choices, tables, figures and the report, and compare; `auto`: only if the packages are installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        why = f"the packages {', '.join(missing)} are not installed here"
        where = report.left if when == "auto" else report.not_compared
        where.append(("choices, tables, figures, report and data, made again (--replay)", why))
        return
    plan = Check("plan", "Every declaration and every job's settings are those that the checkout plans.", "facts")
    report.checks.append(plan)
    with plan.guarded(STUDY), tempfile.TemporaryDirectory(prefix="laser-replay-") as name:
        folder, planned = Path(name), plan_again(report.study, scripts)
        check_plan(plan, report, planned)
        steps: tuple[tuple[str, str, str, Callable[[Check], None]], ...] = (
            (
                "inputs",
                "Rows of datasets and facts of corpora, made again; what tokenizers cannot take.",
                "values",
                partial(check_inputs, report=report, scripts=scripts, cache=cache, folder=folder / "inputs", say=say),
            ),
            (
                "choices",
                "Choices that files tell of, made again from the files that they rest on.",
                "facts",
                partial(check_choices, report=report, planned=planned, scripts=scripts),
            ),
            (
                "replay",
                "Every table, figure, page, manifest and crate, made again, has the same bytes.",
                "files",
                partial(check_made, report=report, planned=planned, scripts=scripts, folder=folder, say=say),
            ),
        )
        for step in steps:
            report.checks.append(checked(*step, without=report.not_compared))


def plan_again(study: Study, scripts: Path) -> Planned:
    """Plan a study again from its settings. Raises Unreadable if the checkout cannot."""
    settings = {key: value for key, value in study.settings.items() if key != "artefact_files"}
    jobs = {path: record["rule"] for path, record in records(study).items()}
    asked = json.dumps({"settings": settings, "title": settings["title"], "jobs": jobs})
    printed, reason = run_code("-m", "laser.replay.plan", str(scripts), scripts=scripts, given=asked)
    if reason:
        raise Unreadable(STUDY, f"cannot be planned by this checkout ({reason})")
    return Planned(**json.loads(printed))


def check_plan(check: Check, report: Report, planned: Planned) -> None:
    """Compare declarations and every job's settings and code with the checkout; report jobs run by other code."""
    study, others = report.study, []
    check.same(STUDY, "artefact_files (declared)", study.settings["artefact_files"], planned.described)
    for path, record in records(study).items():
        check.count += 1
        again, spec = planned.jobs[path], record["spec"]
        if again["reason"]:
            report.not_compared.append((f"the settings of {path}", again["reason"]))
        elif record["code"] not in again["codes"]:
            others.append(text_of(record["rule"]))
        elif again["spec"] is not None:
            for key in again["spec"].keys() - {"compute"}:
                check.same(path, f"spec.{key} (planned again)", spec.get(key), again["spec"][key])
            if record["rule"] not in WHOLE_STUDY:
                check.same(path, "spec, keys (planned again)", sorted(spec), sorted(again["spec"]))
    if others:
        rules = ", ".join(dict.fromkeys(others))
        report.not_compared.append((f"the code of {len(others)} jobs ({rules})", OTHER_CODE))
    for entry in study.settings["models"]:
        if entry["source"] != planned.sources.get(entry["name"], entry["source"]):
            report.notes.append(f"The model {entry['name']} is not the catalogue's: it is from {entry['source']}.")


def check_choices(check: Check, report: Report, planned: Planned, scripts: Path) -> None:
    """Compare the choices in files with those that the files' inputs give (`laser.replay.choices`).

    Where a file made by other code differs, the choice may have followed another rule.
    """
    study = report.study
    makers, known = listed(study, MANIFEST), records(study)
    printed, reason = run_code("-m", "laser.replay.choices", str(study.folder.resolve()), scripts=scripts)
    if reason:
        raise Unreadable(STUDY, f"choices cannot be made again ({reason})")
    compared = json.loads(printed)
    for path, where, value, expected in compared:
        maker = makers.get(path, {}).get("record")
        if value != expected and maker in known and known[maker]["code"] not in planned.jobs[maker]["codes"]:
            report.not_compared.append((f"{path}, {where}", OTHER_CODE))
        else:
            check.same(path, where, value, expected)
    if not compared:
        check.skipped = "the study has none but its selections"


def check_made(check: Check, report: Report, planned: Planned, scripts: Path, folder: Path, say: Say) -> None:
    """Remake every table, figure and film, the report, and the manifests with the crate; compare bytes."""
    study, same_code = report.study, {}
    for name, spec in planned.artefacts.items():
        path = f"records/{name}/{name}.json"
        with check.guarded(path):
            if study.json(path)["code"] == spec["code"]:
                same_code[name] = spec
            else:
                report.not_compared.append((name, OTHER_CODE))
    if same_code:
        say(f"  making {', '.join(same_code)} again")
        _artefacts(check, report, planned, same_code, scripts, folder)
    if REPORT in records(study):
        with check.guarded(REPORT):
            record = records(study)[REPORT]
            if record["code"] not in planned.jobs[REPORT]["codes"]:
                report.not_compared.append(("report", OTHER_CODE))
            elif planned.texts != record["spec"]["texts"]:
                report.not_compared.append(("report", "made with other captions or templates than those here"))
            else:
                say("  writing the report again")
                _whole(check, study, "report", record["spec"], scripts, folder / "page", ("report", "audit"))
    if not study.has(MANIFEST):
        return  # the check of manifests reports this
    with check.guarded(MANIFEST):
        if study.json(MANIFEST)["spec"].get("code") != planned.manifest["code"]:
            report.not_compared.append(("manifests and crate", OTHER_CODE))
        else:
            say("  writing manifests and crate again")
            made = (MANIFEST, MANIFEST_RUN, CRATE)
            _whole(check, study, "manifest", planned.manifest, scripts, folder / "manifest", (*made, "audit"))


def _artefacts(
    check: Check, report: Report, planned: Planned, specs: dict[str, dict[str, Any]], scripts: Path, folder: Path
) -> None:
    """Remake artefacts, each in a folder of its name below `folder`, and compare their files."""
    study = report.study
    words = ("-m", "laser.replay.artefacts", str(scripts / "make_artefact.py"), str(study.folder.resolve()))
    given = json.dumps(specs)
    printed, reason = run_code(*words, str(folder), scripts=scripts, given=given, seconds=SECONDS * len(specs))
    reasons = dict.fromkeys(specs, reason) if reason else json.loads(printed)
    for name in specs:
        record = f"records/{name}/{name}.json"
        with check.guarded(record):
            if name in reasons:
                check.fail(record, "made again", reasons[name], "exit status 0")
                continue
            writes = next(entry["writes"] for entry in planned.described if entry["name"] == name)
            drawn_alike = all(study.json(record)["packages"].get(package) == _version(package) for package in DRAWING)
            if not drawn_alike and any(path.endswith(PICTURES) for path in writes):
                report.not_compared.append((f"pictures of {name}", "made with other versions of the drawing packages"))
            for path in writes:
                if drawn_alike or not path.endswith(PICTURES):
                    compare(check, study, path, folder / name / path, name)


def _whole(
    check: Check, study: Study, script: str, spec: dict[str, Any], scripts: Path, folder: Path, made: tuple[str, ...]
) -> None:
    """Run a job about the whole study on a mirror without the job's outputs, and compare what it makes.

    Args:
        check: takes the findings.
        study: the study.
        script: the job's script.
        spec: the job's spec.
        scripts: the folder of the repository's scripts.
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
    words = ["--spec", json.dumps(spec), "--results", str(mirror), "--cache", str(cache)]
    _, reason = run_code(str(scripts / f"{script}.py"), *words, scripts=scripts)
    if reason:
        check.fail(f"records/{script}/{script}.json", "made again", reason, "exit status 0")
        return
    again = {
        path.relative_to(mirror).as_posix() for name in made for path in [mirror / name, *(mirror / name).rglob("*")]
    }
    for path in sorted({path for path in again if (mirror / path).is_file()} | set(study.matching(f"{script}/", ""))):
        if path != RUN_PAGE:
            compare(check, study, path, mirror / path, f"the {script}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
