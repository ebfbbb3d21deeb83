"""Results remember the study file that they were made from; another file of the same base name is refused."""

import pytest

from laser.config.study_note import check_note, note_of, write_note
from laser.errors import UserError


@pytest.fixture
def files(tmp_path):
    """A folder of results that was made from first/own.yaml, and the path of second/own.yaml with other content."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.yaml").write_text(f"title: {name}\n")
    results = tmp_path / "results/own"
    results.mkdir(parents=True)
    write_note(results, str(tmp_path / "first/own.yaml"), tmp_path / "repository")
    return results, tmp_path / "first/own.yaml", tmp_path / "second/own.yaml"


def check(results, study):
    check_note(results, str(study), results.parents[1] / "repository")


def test_another_file_of_the_same_name_is_refused(files):
    results, first, second = files
    with pytest.raises(UserError) as error:
        check(results, second)
    message = str(error.value)
    assert str(first) in message and str(second) in message and str(results) in message
    assert "--config results=" in message and f"delete {note_of(results)}" in message
    assert check(results.with_name("other"), second) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda results, first, second: first.write_text("title: changed\n"),
        lambda results, first, second: second.write_bytes(first.read_bytes()),
        lambda results, first, second: first.unlink() or second.write_text("title: first\n"),
        lambda results, first, second: note_of(results).unlink(),
        lambda results, first, second: note_of(results).write_text("[]"),
        lambda results, first, second: note_of(results).write_bytes(b"\xff"),
        lambda results, first, second: results.rmdir(),
    ],
    ids=["changed", "copied", "moved", "no note", "other note", "damaged note", "no results"],
)
def test_a_file_that_may_go_on(files, change):
    results, first, second = files
    change(*files)
    study = first if first.exists() and first.read_text() == "title: changed\n" else second
    assert check(results, study) is None


def test_the_repository_may_be_moved_and_its_study_edited(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name / "config/studies").mkdir(parents=True)
        (tmp_path / name / "config/studies/small.yaml").write_text(f"title: {name}\n")
    results = tmp_path / "results/small"
    results.mkdir(parents=True)
    write_note(results, "small", tmp_path / "old")
    check_note(results, "small", tmp_path / "new")
    (tmp_path / "small.yaml").write_text("title: mine\n")
    with pytest.raises(UserError, match=r"config/studies/small\.yaml"):
        check_note(results, str(tmp_path / "small.yaml"), tmp_path / "new")
