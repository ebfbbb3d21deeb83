"""One small study, and one of a policy, for all tests of the audit."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from tests.audit.build import write_study
from tests.audit.remembered import Remembered
from tests.sokoban import small_study
from tests.workflow.one_process import build


def made_once(factory, name, make):
    """Return what `make` makes in a folder, made by the first of all workers that asks for it."""
    own = factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / f"{name}.made").exists():
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir()
            (root / f"{name}.made").write_text(str(make(root / name)))
        return Path((root / f"{name}.made").read_text())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The results of a finished study; not to be changed."""
    return made_once(tmp_path_factory, "audited", lambda folder: build(folder, write_study(folder)))


@pytest.fixture(scope="session")
def finished_policy(tmp_path_factory):
    """The results of a finished study of a policy; not to be changed."""
    artefacts = ["table2", "table3", "fig6", "solved", "film"]
    return made_once(
        tmp_path_factory, "played", lambda folder: build(folder, small_study.write(folder, artefacts=artefacts))
    )


def copied(folder, target):
    """Copy a folder with the times of its files; `shutil.copytree` takes three times as long for 600 of them."""
    subprocess.run(["cp", "-a", str(folder), str(target)], check=True)


@pytest.fixture(scope="session")
def remembered(finished):
    """What an audit of the finished study read; it passes."""
    return Remembered(finished)


@pytest.fixture(scope="session")
def remembered_policy(finished_policy):
    """The same of the study of a policy."""
    return Remembered(finished_policy)


@pytest.fixture
def policy(finished_policy, remembered_policy, tmp_path):
    """A copy of the results, to do things to."""
    copied(finished_policy, tmp_path / "unpacked")
    with mock.patch("laser_audit.run.Study", remembered_policy.study):
        yield tmp_path / "unpacked"


@pytest.fixture
def study(finished, remembered, tmp_path):
    """A copy of the results, to do things to, far from the cache."""
    copied(finished, tmp_path / "unpacked")
    with mock.patch("laser_audit.run.Study", remembered.study):
        yield tmp_path / "unpacked"
