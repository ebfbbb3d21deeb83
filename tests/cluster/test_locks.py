"""What an interrupted run left is taken over; a living run's, another host's, or one of unknown origin is not."""

import base64
import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from laser.cluster.locks import LOCKS, NOTE, note_run, take_over
from tests import tiny
from tests.workflow.runner import ROOT, command, forked


def locked(folder, **note):
    (folder / LOCKS).mkdir(parents=True)
    (folder / LOCKS / "0.input.lock").write_text("x")
    if note:
        (folder / NOTE).write_text(json.dumps(note))
    return folder


def is_locked(folder):
    return any((folder / LOCKS).iterdir())


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_dead_run(tmp_path):
    locked(tmp_path, host=socket.gethostname(), pid=dead_process(), started=1.0)
    take_over(tmp_path)
    assert not is_locked(tmp_path)


def test_living_run(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        locked(tmp_path, host=socket.gethostname(), pid=process.pid, started=psutil.Process(process.pid).create_time())
        take_over(tmp_path)
        assert is_locked(tmp_path)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("note", [{}, {"host": "elsewhere", "pid": 1, "started": 1.0}, {"pid": "x"}])
def test_unknown_owner_or_other_host(tmp_path, note):
    locked(tmp_path, **note)
    take_over(tmp_path)
    assert is_locked(tmp_path)


def test_note_names_this_process(tmp_path):
    note_run(tmp_path)
    assert json.loads((tmp_path / NOTE).read_text())["pid"] == os.getpid()
    locked(tmp_path)
    take_over(tmp_path)
    assert is_locked(tmp_path)


@pytest.fixture(scope="module")
def half_made(tmp_path_factory):
    """A folder with reductions that Snakemake has marked as begun and not ended, as an interrupt leaves them."""
    folder = tmp_path_factory.mktemp("half")
    study = tiny.study(folder, tiny.checkpoint(folder / "model"))
    for rho in (0.1, 0.5):
        output = f"results/tiny/reductions/tiny-llama/layer0/rho{rho}.json"
        mark = folder / ".snakemake/incomplete" / base64.urlsafe_b64encode(output.encode()).decode()
        for path in (folder / output, mark):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"external_jobid": null}')
    return folder, study


def planned(folder, study, *flags):
    line = command(folder, study, "reductions")
    line[3:3] = ["--dry-run", *flags]
    done = forked(line, os.environ)
    return done.stdout + done.stderr


@pytest.mark.parametrize("flags", [(), ("--profile", "slurm")], ids=["bare", "slurm"])
def test_after_an_interrupt_the_same_command_makes_half_files_again(half_made, flags):
    shown = planned(*half_made, *flags)
    assert "IncompleteFilesException" not in shown
    assert "Forced execution" in shown or "forced" in shown.lower()


def test_so_it_is_because_of_the_default_profile(half_made):
    assert "IncompleteFilesException" in planned(*half_made, "--workflow-profile", "none")


def test_make_study_leaves_the_default_profile_in_force():
    line = ["make", "--dry-run", "study", "STUDY=quickstart"]
    shown = subprocess.run(line, capture_output=True, text=True, cwd=ROOT).stdout
    assert "snakemake --cores" in shown and "--workflow-profile" not in shown and "--ignore-incomplete" not in shown
