"""A job that wakes after its run has ended, or after another job has made its files, writes nothing."""

import os
import subprocess
import sys

import pytest

from laser.io import claim
from laser.io.files import atomic, before_moving, write_text
from laser.provenance.job import run_job
from tests.provenance.small import job, study

OTHER_MACHINE = f"{2**22 - 1} another host"


def ended_run():
    """Return the name of a run whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return f"{process.pid} {claim.this_machine()}"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("run", "ended"),
    [(claim.run_of_this_process(), False), (OTHER_MACHINE, False), ("", False), ("no run", False)],
    ids=["this process", "another machine", "none", "no run"],
)
def test_a_run_that_lives_or_cannot_be_seen_has_not_ended(run, ended):
    assert claim.has_ended(run) is ended


def test_a_job_of_a_run_that_has_ended_touches_nothing(tmp_path, monkeypatch, capsys):
    folder = study(tmp_path, monkeypatch)
    before = contents(folder)
    monkeypatch.setenv(claim.RUN, ended_run())
    with pytest.raises(SystemExit) as stopped:
        job(folder, "test/m/d.log", "late", outputs=[folder / "test/m/d.parquet"])
    assert stopped.value.code == 0
    assert "Ends without writing, because the run that it belongs to has ended." in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize("ends", ["run", "log replaced", "log emptied and written again"])
def test_a_job_that_sleeps_while_another_makes_its_files_writes_nothing(tmp_path, monkeypatch, ends):
    folder = study(tmp_path, monkeypatch)
    log, target = folder / "logs/test/m/d.log", folder / "test/m/d.parquet"
    after = {}

    def main(running):
        running.say("before it sleeps")
        if ends == "run":
            monkeypatch.setenv(claim.RUN, ended_run())
        else:
            checks, before_moving[:] = before_moving[:], []  # the other job is another process
            job(folder, "test/m/d.log", "rows", [folder / "inputs/study.json"], [target])
            before_moving[:] = checks
        if ends == "log emptied and written again":
            log.write_text("another first line\n")
        after.update(contents(folder))
        running.say("after it woke")
        write_text(target, "late")

    with pytest.raises(SystemExit) as stopped:
        run_job(main, "", arguments=["--spec", "{}", "--log", str(log)])
    assert stopped.value.code == 0
    if ends == "run":  # nobody else has written: the log is its own
        after[log] = log.read_bytes()
    assert contents(folder) == after
    assert before_moving == []


def test_a_job_whose_log_was_deleted_goes_on(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    log, target = folder / "logs/test/m/d.log", folder / "test/m/d.parquet"

    def main(running):
        log.unlink()
        write_text(target, "made")

    run_job(main, "", arguments=["--spec", "{}", "--log", str(log)])
    assert target.read_text() == "made"


def test_a_check_that_raises_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "old")

    def refuse():
        raise claim.SupersededError("a reason")

    monkeypatch.setattr("laser.io.files.before_moving", [refuse])
    with pytest.raises(claim.SupersededError), atomic(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]
