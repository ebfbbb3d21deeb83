"""Jobs as forks of one process: as a Python of their own would run them, and ended with what waits for them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest

from laser.cluster import forks

SCRIPT = """
import os, sys
if sys.argv[1] == "show":
    print(sys.argv[2:], os.environ["SHOWN"], os.getcwd(), sys.path[0], __name__, sys.stdin.read())
    sys.exit("a message")
if sys.argv[1] == "number":
    sys.exit(int(sys.argv[2]))
if sys.argv[1] == "import":
    import atexit
    atexit.register(print, "at exit")
    print(*[name for name in sys.argv[2:] if name in sys.modules])
    for name in sys.argv[2:]:
        __import__(name)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
if sys.argv[1] == "wait":
    with open("started", "w") as file:
        file.write(str(os.getpid()))
    import time
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def started():
    return forks.start()


def line(folder, *arguments):
    (folder / "script.py").write_text(SCRIPT)
    return [sys.executable, str(forks.SCRIPTS / "laser/cluster/handed_over.py"), "script.py", *arguments]


def run(folder, variables, *arguments):
    environment = os.environ | {"SHOWN": "é"} | variables
    asked = {"capture_output": True, "text": True, "cwd": folder, "env": environment, "input": "given"}
    return subprocess.run(line(folder, *arguments), **asked)


def test_a_fork_is_what_a_python_of_its_own_would_be(tmp_path, started):
    forked, alone = run(tmp_path, started, "show", "a b", "*"), run(tmp_path, {}, "show", "a b", "*")
    assert forked.stdout == alone.stdout and "['a b', '*'] é" in forked.stdout and "__main__ given" in forked.stdout
    assert (forked.returncode, forked.stderr) == (alone.returncode, alone.stderr) == (1, "a message\n")


@pytest.mark.parametrize(("what", "status"), [(("number", "0"), 0), (("number", "7"), 7), (("killed",), 137)])
def test_exit_status(tmp_path, started, what, status):
    assert run(tmp_path, started, *what).returncode == status


def test_what_a_job_imports_the_next_one_need_not(tmp_path, started):
    (tmp_path / "beside.py").write_text("")  # not to be found by the process: it is no part of the workflow
    shown = [run(tmp_path, started, "import", "xml.dom.minidom", "beside").stdout for _ in range(2)]
    assert shown == ["\nat exit\n", "xml.dom.minidom\nat exit\n"]


def test_many_at_once(tmp_path, started):
    lines = [line(tmp_path, "number", str(number)) for number in range(20)]
    jobs = [subprocess.Popen(each, cwd=tmp_path, env=os.environ | started) for each in lines]
    assert [job.wait() for job in jobs] == list(range(20))


def test_a_process_that_is_gone_is_as_none(tmp_path):
    assert run(tmp_path, {forks.ADDRESS: str(tmp_path / "none")}, "number", "3").returncode == 3


@pytest.mark.parametrize("sent", [b"", (99).to_bytes(8, "big"), (99).to_bytes(8, "big") + b"{"])
def test_who_ends_before_the_job_is_told_is_forgotten(tmp_path, started, sent):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(started[forks.ADDRESS])
        if sent:
            socket.send_fds(other, [sent[:8]], [0, 1, 2])
            other.sendall(sent[8:])
    assert run(tmp_path, started, "number", "5").returncode == 5


def test_in_a_folder_that_no_socket_fits_no_process_is_started(tmp_path, monkeypatch):
    (tmp_path / ("long" * 30)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    assert forks.start() == {} and not list((tmp_path / ("long" * 30)).iterdir())


def waiting(folder, variables):
    job = subprocess.Popen(line(folder, "wait"), cwd=folder, env=os.environ | variables, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (folder / "started").is_file() or not (folder / "started").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job, int((folder / "started").read_text())


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_ends_with_what_waits_for_it(tmp_path, started):
    job, pid = waiting(tmp_path, started)
    job.kill()
    deadline = time.monotonic() + 10
    while lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("first", ["job", "waiting"])
def test_a_job_and_what_waits_for_it_may_end_at_once(tmp_path, first):
    """As under Ctrl-C: the process is held until both have ended, and hears of both at the same time."""
    variables = forks.start()
    (job, pid), process = waiting(tmp_path, variables), forks.STARTED[-1]
    process.send_signal(signal.SIGSTOP)
    for end in (lambda: os.kill(pid, signal.SIGKILL), job.kill)[:: 1 if first == "job" else -1]:
        end()
    job.wait()
    process.send_signal(signal.SIGCONT)
    assert run(tmp_path, variables, "number", "6").returncode == 6
    assert process.poll() is None


def test_the_end_of_the_process_is_one_message(tmp_path):
    variables, folders = forks.start(), [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    jobs = [waiting(folder, variables) for folder in folders]
    forks.STARTED[-1].kill()
    assert [job.wait(timeout=30) for job, _ in jobs] == [1, 1]
    for job, pid in jobs:
        os.kill(pid, signal.SIGKILL)  # it has the same standard error
        assert b"has ended" in job.stderr.read()


def workflow(local=True, deployment=()):
    settings = SimpleNamespace(deployment_method=set(deployment))
    return SimpleNamespace(local_exec=local, deployment_settings=settings)


def test_jobs_are_forks_only_where_that_is_the_same(monkeypatch):
    monkeypatch.delenv(forks.CLIENT, raising=False)
    assert forks.are_possible(workflow(), "cpu")
    assert not forks.are_possible(workflow(local=False), "cpu")
    assert not forks.are_possible(workflow(deployment=["conda"]), "cpu")
    assert not forks.are_possible(workflow(), "auto") and not forks.are_possible(workflow(), "cuda")
    monkeypatch.setenv(forks.CLIENT, "")
    assert not forks.are_possible(workflow(), "cpu")
