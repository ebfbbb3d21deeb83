"""What befell a SLURM job is read from its log; only jobs of one's own folder are ever cancelled."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from laser.cluster import slurm_jobs
from laser.cluster.locks import note_run, take_over, tell_of_another_host

GOOD = "Select jobs to execute...\nFinished jobid: 0 (Rule: sweep)\n1 of 1 steps (100%) done\n"
FAILED = "Error in rule sweep:\n    message: None\nWorkflowError:\nAt least one job did not complete successfully.\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (GOOD, None),
        (f"{FAILED}slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=3.0. Some of your", "out of memory"),
        (
            "error: *** JOB 1 ON n1 CANCELLED AT 2026-11-24T01:26:35 DUE TO TIME LIMIT ***",
            "time limit reached",
        ),
        ("slurmstepd: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-24T01:25:08 ***", "cancelled"),
        ("slurmstepd: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-24T01:25:08 DUE TO NODE FAILURE", "its node failed"),
        (f"[sweep tiny layer 0] ERROR: x.parquet: no space.\n{FAILED}", "x.parquet: no space."),
        (FAILED, "failed; see its log"),
        ("Building DAG of jobs...\n", "its log ends in the middle: its node may have been lost"),
    ],
)
def test_reason(log, reason):
    assert slurm_jobs.reason_of(log) == reason


def test_one_message_names_each_job_that_failed_in_this_run(tmp_path):
    for name, log in {
        "rule_sweep/a_0/10": FAILED,
        "rule_sweep/a_0/9": GOOD,
        "rule_sweep/a_0/2": "JOB CANCELLED AT",
    }.items():
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log)
    old = tmp_path / "rule_sweep/a_0/1.log"
    old.write_text(FAILED)
    os.utime(old, (1, 1))
    said = []
    slurm_jobs.tell_failures(tmp_path, time.time() - 60, said.append)
    (message,) = said
    assert message.startswith("2 SLURM job(s) failed")
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == [
        "SLURM job 2 (rule_sweep/a_0)",
        "SLURM job 10 (rule_sweep/a_0)",
    ]
    assert str(tmp_path / "rule_sweep/a_0/10.log") in message


def test_nothing_is_said_where_nothing_failed(tmp_path):
    said = []
    slurm_jobs.tell_failures(tmp_path / "none", 0, said.append)
    assert said == []


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A squeue that lists the rows of a file, if it is asked for one run's, and a scancel that takes jobs out of it."""
    rows = tmp_path / "rows"
    for name, text in {
        "squeue": f'#!/bin/sh\ncase "$*" in *"--name laser_1 "*) cat "{rows}";; esac\n',
        "scancel": f'#!/bin/sh\nfor one; do sed -i "/^$one|/d" "{rows}"; done\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return rows


def test_only_this_runs_jobs_in_this_folder_are_cancelled(queue, tmp_path):
    queue.write_text(f"10|{tmp_path}\n7|{tmp_path}\n8|/elsewhere\n")
    said = []
    assert slurm_jobs.cancel_left_over("laser_2", tmp_path, said.append) == [] == said
    assert slurm_jobs.cancel_left_over("laser_1", tmp_path, said.append) == ["7", "10"]
    assert queue.read_text() == "8|/elsewhere\n"
    assert len(said) == 1 and "2 SLURM job(s): 7, 10." in said[0]


@pytest.mark.parametrize("locked", [True, False], ids=["killed", "interrupted twice"])
def test_a_dead_runs_jobs_are_cancelled_with_its_lock_or_without(queue, tmp_path, locked):
    dead = {"host": socket.gethostname(), "pid": 2**22 - 1, "started": 1.0, "slurm_jobs": "laser_1"}
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/laser-run.json").write_text(json.dumps(dead))
    if locked:
        (tmp_path / ".snakemake/locks/0.input.lock").write_text("x")
    queue.write_text(f"7|{tmp_path}\n")
    said = []
    take_over(tmp_path, said.append)
    assert queue.read_text() == "" and len(said) == 1
    assert not any((tmp_path / ".snakemake/locks").iterdir())


def test_no_slurm_no_question(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_jobs.cancel_left_over("laser_1", Path(), print) == []


@pytest.mark.parametrize(("host", "count"), [("elsewhere", 1), (socket.gethostname(), 0)])
def test_a_run_of_another_host_is_spoken_of(tmp_path, host, count):
    note_run(tmp_path, "laser_1")
    path = tmp_path / ".snakemake/laser-run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": host}))
    said = []
    tell_of_another_host(tmp_path, said.append)
    assert len(said) == count and all("scancel --name laser_1" in one for one in said)
