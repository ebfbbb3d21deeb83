"""Tables and figures made again from the rows have the same bytes; what was changed beside its hash has not."""

import json

from laser_audit import replay
from laser_audit.run import Report
from tests.audit.edits import cell
from tests.audit.seal import reseal, write
from tests.workflow.runner import ROOT


def again(folder, monkeypatch, *rules):
    if "report" not in rules:
        monkeypatch.setattr(replay, "RECORD", "")
    monkeypatch.setattr(replay, "SCRIPTS", {name: one for name, one in replay.SCRIPTS.items() if name in rules})
    report = Report(folder, "", [], [])
    replay.replay(report, ROOT / "workflow/scripts", say=lambda line: None)
    (check,) = report.checks
    return check, report


def test_tables_and_figures_are_made_again(study, monkeypatch):
    check, report = again(study, monkeypatch, "table1", "stability", "fig3c", "fig9")
    assert check.passed, check.findings
    assert check.count > 20 and report.left == []


def test_the_report_is_written_again(study, monkeypatch):
    check, report = again(study, monkeypatch, "report")
    assert check.passed, check.findings
    assert check.count > 80 and report.left == []
    path = study / "report/tables/table1.md"
    path.write_text(path.read_text().replace("| 77 |", "| 78 |"))
    check, _ = again(study, monkeypatch, "report")
    assert [one.path for one in check.findings] == ["report/tables/table1.md"]


def test_a_point_of_a_drawing_is_found(study, monkeypatch):
    path = study / "figures/fig9/gpt-j-6b/corrected.svg"
    path.write_text(path.read_text().replace("</svg>", "<!-- better --></svg>"))
    reseal(study)
    check, _ = again(study, monkeypatch, "fig9")
    assert [one.path for one in check.findings] == ["figures/fig9/gpt-j-6b/corrected.svg"]


def test_a_number_that_only_the_code_can_give_is_found(study, monkeypatch):
    cell("tables/stability.csv", 0, "share", "99.5")(study)
    reseal(study)
    check, _ = again(study, monkeypatch, "stability")
    assert [one.path for one in check.findings] == ["tables/stability.csv"]


def test_another_paper_is_found(study, monkeypatch):
    path = study / "inputs/published/table1.csv"
    path.write_text(path.read_text().replace("13.1", "0.1"))
    check, _ = again(study, monkeypatch)
    assert [one.path for one in check.findings] == ["inputs/published/table1.csv"]


def test_other_code_is_said_and_not_compared(study, monkeypatch):
    path = study / "records/tables/table4.json"
    record = json.loads(path.read_text())
    write(path, record | {"code": "0" * 16})
    check, report = again(study, monkeypatch, "table4")
    assert check.passed
    assert [what for what, _ in report.left] == ["replay of table4"]


def test_no_path_out_of_the_study_is_written_or_run(study, monkeypatch, tmp_path):
    path = study / "records/tables/table4.json"
    record = json.loads(path.read_text())
    for bad in ("results/small/../../outside.csv", str(tmp_path / "outside.csv"), "results/small/selection/x.csv"):
        outputs = [{"path": bad, "sha256": "0" * 64, "bytes": 1}]
        write(path, record | {"outputs": outputs, "script": "/bin/sh"})
        check, _ = again(study, monkeypatch, "table4")
        assert not check.passed
    assert not list(tmp_path.rglob("outside*"))


def test_without_the_packages_it_is_said(study, monkeypatch):
    monkeypatch.setattr(replay, "NEEDED", ("no_such_package",))
    report = Report(study, "", [], [])
    replay.replay(report, ROOT / "workflow/scripts", "auto")
    assert report.checks == [] and "no_such_package" in report.left[0][1]
    replay.replay(report, ROOT / "workflow/scripts", "always")
    assert not report.passed
