"""The state of a study's last run, from its note, logs and runs."""

import json
import os

import pytest

from laser.cost import status
from laser.cost.progress import PlannedJob, note_path, read_note, write_note
from laser.cost.status import status_text
from laser.errors import UserError

RULES = ("prepare", "base", "sweep", "table1")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A study whose run has noted four jobs: one done, one with an error, one whose log goes on, one not begun."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/own"
    jobs = [
        PlannedJob(number, rule, "m d", str(folder / f"logs/{rule}/a.log"), str(folder / f"runs/{rule}/a.json"), 10.0)
        for number, rule in enumerate(RULES)
    ]
    write_note(folder, jobs)
    head = "2026-01-01T00:00:00+00:00, process 1 on host\n"
    for rule, text in {"prepare": "", "base": "[base] ERROR: no space left.\n", "sweep": "[sweep] 5/9 rows\n"}.items():
        (folder / f"logs/{rule}").mkdir(parents=True)
        (folder / f"logs/{rule}/a.log").write_text(head + text)
    (folder / "runs/prepare").mkdir(parents=True)
    (folder / "runs/prepare/a.json").write_text('{"seconds": 12.5}')
    return folder


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_a_run_that_goes_on(results):
    text = status_text(results, alive=True)
    assert "goes on: 1/4 jobs, 1 running, 1 failed, about " in text
    assert ["rule", "done", "running", "waiting", "failed"] in rows(text)
    assert ["sweep", "1"] in rows(text)
    assert f"failed: base m d: no space left.\n  log: {results}/logs/base/a.log" in text


def test_a_run_that_has_ended(results):
    text = status_text(results, alive=False)
    assert "has ended: 1 done, 1 waiting, 1 failed, 1 stopped" in text
    assert f"stopped without a message: sweep m d\n  log: {results}/logs/sweep/a.log" in text


@pytest.mark.parametrize(("later", "goes_on"), [(100.0, False), (-100.0, True)])
def test_the_run_of_another_study_in_the_folder_is_not_this_ones(results, monkeypatch, later, goes_on):
    monkeypatch.setattr(status, "runs_here", lambda: True)
    assert "goes on" in status_text(results)
    noted = json.loads(note_path(results).read_text())
    note_path(results.with_name("other")).write_text(json.dumps(noted | {"started": noted["started"] + later}))
    note_path(results.with_name("damaged")).write_text("{")
    assert ("goes on" in status_text(results)) == goes_on


def test_files_of_an_earlier_run_do_not_count(results):
    for path in results.rglob("*.*"):
        os.utime(path, (1, 1))
    text = status_text(results, alive=False)
    assert "has ended: 4 waiting" in text and "failed:" not in text


def test_a_complete_run(results):
    for rule in RULES:
        (results / f"runs/{rule}").mkdir(parents=True, exist_ok=True)
        (results / f"runs/{rule}/a.json").write_text("{}")
    assert "has ended, complete: 4 done" in status_text(results, alive=False)


def test_a_failed_slurm_job_is_named_with_its_log(results):
    log = results.parents[1] / "logs/slurm/rule_sweep/m_d/77.log"
    log.parent.mkdir(parents=True)
    log.write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=77.0\n")
    text = status_text(results, alive=True)
    assert "SLURM job 77: out of memory" in text and "logs/slurm/rule_sweep/m_d/77.log" in text


def test_without_a_run_it_says_how_to_start_one(tmp_path):
    with pytest.raises(UserError, match=r"own\.run\.json: is missing.*make study STUDY=own"):
        status_text(tmp_path / "results/own")
    assert read_note(tmp_path / "results/own") is None
