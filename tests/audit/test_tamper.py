"""Whatever is changed in a finished study is found, by recomputation or by replay, and the finding names the file."""

from unittest import mock

import pytest

from laser.config.artefacts import declared
from laser_audit.pages import FAILED, status, terminal
from laser_audit.reading import Study
from laser_audit.run import audit
from tests.audit.again import chosen_again, made_again, planned_again
from tests.audit.manipulations import CHOICES, CRATE, DETERMINED, NAIVE, PLANNED, REPLAYED, REPORT
from tests.audit.seal import reseal


def found(folder, named):
    """Audit; return the findings that name the file."""
    report = audit(folder)
    findings = [finding for check in report.checks for finding in check.findings]
    assert status(report) == FAILED and "FAILED" in terminal(report)
    naming = [finding for finding in findings if named in str(finding)]
    assert naming, f"{named} is not named in:\n" + "\n".join(map(str, findings[:20]))
    return naming


def test_there_are_enough_of_them():
    assert sum(map(len, (NAIVE, DETERMINED, REPLAYED, CHOICES, CRATE, REPORT, PLANNED))) > 100, (
        "docs/auditing.md says so"
    )
    assert len(DETERMINED) > len(NAIVE)


def test_an_untouched_study_passes(copy):
    assert copy.remembered.report.passed


@pytest.mark.parametrize("name", ["test: a wrong answer made right", "data: an answer", "a file deleted"])
def test_an_audit_that_reads_all_files_anew_finds_the_same(study, name):
    (DETERMINED | NAIVE)[name](study)
    quick = audit(study)
    with mock.patch("laser_audit.run.Study", Study):
        assert audit(study).checks == quick.checks


def test_making_hashes_fit_again_changes_nothing_in_an_untouched_study(study):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    reseal(study)
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", NAIVE)
def test_a_naive_change_is_found(study, name):
    found(study, NAIVE[name](study))


@pytest.mark.parametrize("name", DETERMINED)
def test_a_change_with_all_hashes_made_to_fit_is_found(study, name):
    named = DETERMINED[name](study)
    reseal(study)
    found(study, named)


@pytest.mark.parametrize("reads_others", [False, True])
def test_what_only_the_code_can_give_is_found_by_replay(study, reads_others):
    """Those that read no other's table are made in one replay: what is changed in one changes none of the others."""
    changes = {
        name: change
        for name, change in REPLAYED.items()
        if bool(declared()[name.partition(":")[0]].after) == reads_others
    }
    named = {change(study) for change in changes.values()}
    reseal(study)
    check, report = made_again(study, *{name.partition(":")[0] for name in changes})
    assert named and named == {finding.path for finding in check.findings} and report.not_compared == []


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_does_not_follow_is_found_by_replay(study, name):
    named = CHOICES[name](study)
    reseal(study)
    assert named in {finding.path for finding in chosen_again(study)[0].findings}


@pytest.mark.parametrize("name", CRATE)
def test_a_crate_that_tells_of_another_run_is_found_by_replay(study, name):
    named = CRATE[name](study)
    reseal(study)
    check, _ = made_again(study, "manifest")
    assert named in {finding.path for finding in check.findings}


def test_a_report_that_differs_is_found_by_replay(study):
    named = {change(study) for change in REPORT.values()}
    reseal(study)
    check, _ = made_again(study, "report")
    assert named == {finding.path for finding in check.findings} and len(named) == len(REPORT)


@pytest.mark.parametrize("name", PLANNED)
def test_settings_that_differ_are_found_by_replay(study, name):
    named = PLANNED[name](study)
    reseal(study)
    check, _ = planned_again(study)
    assert named in {finding.path for finding in check.findings}
