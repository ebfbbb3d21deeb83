"""Tables and figures made again from the rows have the same bytes; what was changed beside its hash has not."""

import json

from laser_audit import replay
from laser_audit.pages import IN_PART, PASSED, status, terminal
from laser_audit.reading import Study
from laser_audit.run import Report
from tests.audit.again import made_again
from tests.audit.seal import reseal, write
from tests.workflow.runner import ROOT


def test_tables_and_figures_are_made_again(study):
    check, report = made_again(study, "table1", "stability", "fig3c", "fig9")
    assert check.passed, check.findings
    assert check.count > 20 and report.not_compared == []


def test_the_report_is_written_again(study):
    check, report = made_again(study, "report")
    assert check.passed, check.findings
    assert check.count > 80 and report.not_compared == []
    path = study / "report/tables/table1.md"
    path.write_text(path.read_text().replace("| 77 |", "| 78 |"))
    check, _ = made_again(study, "report")
    assert [one.path for one in check.findings] == ["report/tables/table1.md"]


def test_a_point_of_a_drawing_is_found(study):
    path = study / "figures/fig9/gpt-j-6b/corrected.svg"
    path.write_text(path.read_text().replace("</svg>", "<!-- better --></svg>"))
    reseal(study)
    check, _ = made_again(study, "fig9")
    assert [one.path for one in check.findings] == ["figures/fig9/gpt-j-6b/corrected.svg"]


def test_another_paper_is_found(study):
    path = study / "inputs/published/table1.csv"
    path.write_text(path.read_text().replace("13.1", "0.1"))
    check, _ = made_again(study)
    assert [one.path for one in check.findings] == ["inputs/published/table1.csv"]


def test_other_code_is_said_and_not_compared(study):
    path = study / "records/tables/table4.json"
    record = json.loads(path.read_text())
    write(path, record | {"code": "0" * 16})
    check, report = made_again(study, "table4")
    assert check.passed
    assert [what for what, _ in report.not_compared] == ["table4"]
    assert status(report) == IN_PART and "PASSED IN PART" in terminal(report)


def test_no_path_out_of_the_study_is_written_or_run(study, tmp_path):
    path = study / "records/tables/table4.json"
    record = json.loads(path.read_text())
    for bad in ("results/small/../../outside.csv", str(tmp_path / "outside.csv"), "results/small/selection/x.csv"):
        outputs = [{"path": bad, "sha256": "0" * 64, "bytes": 1}]
        write(path, record | {"outputs": outputs, "script": "/bin/sh"})
        check, _ = made_again(study, "table4")
        assert not check.passed
    assert not list(tmp_path.rglob("outside*"))


def test_without_the_packages_it_is_said(study, monkeypatch):
    monkeypatch.setattr(replay, "NEEDED", ("no_such_package",))
    for when, expected in (("auto", PASSED), ("always", IN_PART)):
        report = Report(Study(study), "", [], [])
        replay.replay(report, ROOT / "workflow/scripts", when)
        assert report.checks == [] and status(report) == expected
        assert "no_such_package" in str(report.left + report.not_compared)
