"""What a person meets at the terminal: refusals that say what to do instead, and how far a run is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from laser.config.study_note import write_note
from tests import tiny
from tests.workflow.runner import ROOT, run


def make(folder: Path, *words: str) -> subprocess.CompletedProcess:
    shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
    # Variables of an outer make would be taken for those of the command line.
    environment = {key: value for key, value in os.environ.items() if key not in ("STUDY", "MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def studies(tmp_path):
    for name in ("own", "quickstart"):
        (tmp_path / f"results/{name}/tables").mkdir(parents=True)
        (tmp_path / f"results/{name}.study.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("words", [(), ("STUDY=",), ("STUDY=..",), ("STUDY=own quickstart",), ("STUDY=*",)])
def test_clean_needs_the_name_of_a_study(studies, words):
    done = make(studies, "clean", *words)
    assert done.returncode == 2 and "make clean STUDY=<name>. Here are: own quickstart" in done.stdout
    assert sorted(path.name for path in (studies / "results").iterdir()) == [
        *("own", "own.study.json", "quickstart", "quickstart.study.json")
    ]


@pytest.mark.parametrize("study", ["own", "some/where/own.yaml", "own.yml"])
def test_clean_removes_one_study(studies, study):
    assert make(studies, "clean", f"STUDY={study}").returncode == 0
    assert sorted(path.name for path in (studies / "results").iterdir()) == ["quickstart", "quickstart.study.json"]


def test_clean_of_a_study_without_results_says_so(studies):
    done = make(studies, "clean", "STUDY=owm")
    assert done.returncode == 2 and "There are no results of owm. Here are: own quickstart" in done.stdout
    assert len(list((studies / "results").iterdir())) == 4


def test_an_old_python_is_one_line(tmp_path):
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "envs").mkdir()
    for name in ("requirements.txt", "install.py"):
        (tmp_path / "envs" / name).write_text("")
    done = make(tmp_path, "env", f"PYTHON={old}")
    assert done.returncode != 0 and "is not Python 3.11 or newer" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(("there", "reason"), [(False, "gone, which does not exist"), (True, "may lack packages")])
def test_a_link_in_place_of_the_environment_is_one_line(tmp_path, there, reason):
    (tmp_path / ".venv").symlink_to(tmp_path / "gone")
    if there:
        (tmp_path / "gone").mkdir()
        (tmp_path / "gone/pyvenv.cfg").write_text("")
    line = [sys.executable, str(ROOT / "envs/install.py"), str(tmp_path / ".venv")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and reason in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_run_says_how_far_it_is_and_its_status_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow/scripts"))
    study = tiny.study(tmp_path, tiny.checkpoint(tmp_path / "model"))
    done = run(tmp_path, study, "data", flags=("--logger", "laser"))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[study]")]
    assert lines[-1] == "[study] 1/1 jobs, 0 running" and "Building DAG" not in done.stderr
    tool = [sys.executable, str(ROOT / "workflow/scripts/tools/status.py"), "results/tiny"]
    shown = subprocess.run(tool, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "complete: 1 done" in shown.stdout


def test_snakemake_refuses_another_study_of_the_same_name_and_a_target_of_none(tmp_path):
    tiny.checkpoint(tmp_path / "model")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        tiny.study(tmp_path / name, tmp_path / "model", **({} if name == "first" else {"title": "Another"}))
    (tmp_path / "results/tiny").mkdir(parents=True)
    write_note(tmp_path / "results/tiny", str(tmp_path / "first/tiny.yaml"), ROOT)
    for study, target, expected in [
        ("first", "fig10", "does not have fig10"),
        ("second", "all", "another study file of the same name"),
    ]:
        done = run(tmp_path, tmp_path / study / "tiny.yaml", target, flags=("--dry-run",))
        shown = done.stdout + done.stderr
        assert done.returncode != 0 and expected in shown and "Traceback" not in shown
