"""Errors reach the user as one line, and the log keeps the rest."""

import json
import os
import sys
from pathlib import Path

import pytest

from laser.config.specs import LONGEST_WORD, as_word, from_word
from laser.errors import UserError
from laser.provenance.job import run_job


def run(main, tmp_path):
    arguments = ["--spec", json.dumps({"a": 1}), "--log", str(tmp_path / "log"), "--into", "one"]
    return run_job(main, "", options=("inputs", "into"), arguments=arguments)


def test_options_and_spec(tmp_path):
    seen = {}

    def main(job):
        seen.update(spec=job.spec, options=job.options)
        job.say("hello")

    run(main, tmp_path)
    assert seen == {"spec": {"a": 1}, "options": {"inputs": None, "into": Path("one")}}
    assert "hello" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("log", "begins"),
    [
        ("logs/sweep/m/d/layer3-rho0.5.log", "[report m d layer3-rho0.5] "),
        ("logs/report/report.log", "[report] "),
        ("by-hand/m.log", "[report] "),
    ],
)
def test_lines_begin_with_the_script_and_the_wildcards_of_its_log(tmp_path, monkeypatch, capsys, log, begins):
    monkeypatch.setattr(sys, "argv", ["workflow/scripts/report.py"])

    def main(job):
        raise UserError("x")

    with pytest.raises(SystemExit):
        run_job(main, "", arguments=["--spec", "{}", "--log", str(tmp_path / log), "--results", str(tmp_path)])
    assert capsys.readouterr().err == f"{begins}ERROR: x\n"


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


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.2 GiB for an array"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        caused(UserError("cache/m: cannot be loaded. Delete the folder and fetch it again."), MemoryError()),
        caused(UserError("x.safetensors: cannot be read. Delete it."), OSError(12, "Cannot allocate memory")),
    ],
)
def test_too_little_memory_is_said_and_nothing_is_to_be_deleted(tmp_path, capsys, error):
    def main(job):
        raise error

    with pytest.raises(SystemExit) as stopped:
        run(main, tmp_path)
    shown = capsys.readouterr().err
    assert stopped.value.code == 1 and "Not enough memory" in shown and "mem_mb" in shown
    assert "elete" not in shown and "fault of the workflow" not in shown


@pytest.mark.parametrize(
    "error",
    [UserError("x: damaged. Delete it."), caused(UserError("x: damaged. Delete it."), ValueError("bad header"))],
)
def test_any_other_message_stays_as_it_is(tmp_path, capsys, error):
    def main(job):
        raise error

    with pytest.raises(SystemExit):
        run(main, tmp_path)
    assert "ERROR: x: damaged. Delete it." in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 13, 28, 30, 122])
def test_a_folder_that_cannot_be_written_to_is_no_fault_of_the_workflow(tmp_path, capsys, number):
    def main(job):
        raise OSError(number, os.strerror(number), "cache/models/m/.lock")

    with pytest.raises(SystemExit):
        run(main, tmp_path)
    shown = capsys.readouterr().err
    assert f"ERROR: cache/models/m/.lock: {os.strerror(number)}" in shown and "umask 002" in shown
    assert "fault of the workflow" not in shown


@pytest.mark.parametrize("count", [1, 500, 20_000])
def test_a_spec_of_any_length_is_one_word_of_a_command_line(count):
    spec = json.dumps({"models": [f"model ‹{number}›" for number in range(count)]}, ensure_ascii=False)
    word = as_word(spec)
    assert from_word(word) == json.loads(spec) and len(word.encode()) < 131_072
    assert (word == spec) is (len(spec.encode()) < LONGEST_WORD)


@pytest.mark.parametrize("word", ["{", "zlib:", "zlib:%%", "zlib:e30="])
def test_a_word_that_holds_no_spec_is_refused(word):
    with pytest.raises(ValueError):
        from_word(word)
