"""Whatever is changed in a finished study is found, and the finding names the file."""

import pytest

from laser_audit.pages import terminal
from laser_audit.run import audit
from tests.audit.manipulations import DETERMINED, NAIVE
from tests.audit.seal import reseal


def found(folder, named):
    """Audit; return the findings that name the file."""
    report = audit(folder)
    every = [finding for check in report.checks for finding in check.findings]
    assert not report.passed
    assert "FAILED" in terminal(report)
    named_in = [finding for finding in every if named in str(finding)]
    assert named_in, f"{named} is not named in:\n" + "\n".join(map(str, every[:20]))
    return named_in


def test_there_are_enough_of_them():
    assert len(NAIVE) + len(DETERMINED) > 100, "docs/auditing.md says so"
    assert len(DETERMINED) > len(NAIVE)


def test_an_untouched_study_passes(study):
    report = audit(study)
    assert report.passed, "\n".join(map(str, (one for check in report.checks for one in check.findings)))


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
