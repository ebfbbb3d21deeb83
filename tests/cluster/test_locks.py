"""A dead run's lock is released; a living run's, another host's, or one of unknown origin is not."""

import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from laser.cluster.locks import LOCKS, NOTE, note_run, release_stale_lock


def locked(folder, **note):
    (folder / LOCKS).mkdir(parents=True)
    (folder / LOCKS / "0.input.lock").write_text("x")
    if note:
        (folder / NOTE).write_text(json.dumps(note))
    return folder


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_dead_run(tmp_path):
    locked(tmp_path, host=socket.gethostname(), pid=dead_process(), started=1.0)
    assert release_stale_lock(tmp_path)
    assert not list((tmp_path / LOCKS).iterdir())


def test_living_run(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        locked(tmp_path, host=socket.gethostname(), pid=process.pid, started=psutil.Process(process.pid).create_time())
        assert not release_stale_lock(tmp_path)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("note", [{}, {"host": "elsewhere", "pid": 1, "started": 1.0}, {"pid": "x"}])
def test_unknown_owner_or_other_host(tmp_path, note):
    locked(tmp_path, **note)
    assert not release_stale_lock(tmp_path)


def test_note_names_this_process(tmp_path):
    note_run(tmp_path)
    assert json.loads((tmp_path / NOTE).read_text())["pid"] == os.getpid()
    assert not release_stale_lock(tmp_path)
