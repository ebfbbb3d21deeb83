"""One small study, and one of a policy, for all tests of the audit."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.audit.build import write_study
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


@pytest.fixture
def policy(finished_policy, tmp_path):
    """A copy of them."""
    shutil.copytree(finished_policy, tmp_path / "unpacked")
    return tmp_path / "unpacked"


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the results, to do things to, far from the cache."""
    shutil.copytree(finished, tmp_path / "unpacked")
    return tmp_path / "unpacked"
