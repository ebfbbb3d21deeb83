"""Errors reach the user as one line, and the log keeps the rest."""

import json

import pytest

from laser.errors import UserError
from laser.io.job import run_job


def run(main, tmp_path):
    arguments = ["--spec", json.dumps({"a": 1}), "--log", str(tmp_path / "log"), "--output", "one", "two"]
    return run_job(main, "", files=("output",), arguments=arguments)


def test_paths_and_spec(tmp_path):
    seen = {}

    def main(job):
        seen.update(spec=job.spec, output=[str(path) for path in job.paths["output"]])
        job.say("hello")

    run(main, tmp_path)
    assert seen == {"spec": {"a": 1}, "output": ["one", "two"]}
    assert "hello" in (tmp_path / "log").read_text()


def test_user_error_is_one_line_without_traceback(tmp_path, capsys):
    def main(job):
        raise UserError("config/x.yaml: key 'a' is 1. Allowed: 2.")

    with pytest.raises(SystemExit) as stopped:
        run(main, tmp_path)
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert "ERROR: config/x.yaml: key 'a' is 1." in shown
    assert "Traceback" not in shown + (tmp_path / "log").read_text()


def test_a_fault_of_ours_is_one_line_with_the_traceback_in_the_log(tmp_path, capsys):
    def main(job):
        raise KeyError("missing")

    with pytest.raises(SystemExit):
        run(main, tmp_path)
    assert "Traceback" not in capsys.readouterr().err
    assert "Traceback" in (tmp_path / "log").read_text()


def test_progress_says_rate_and_time_left(tmp_path, capsys):
    def main(job):
        advance = job.progress(10, "examples")
        advance(5)
        advance(5)

    run(main, tmp_path)
    assert "10/10 examples" in capsys.readouterr().err
