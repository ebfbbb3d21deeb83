"""One small study, and one of a policy, for all tests of the audit."""

import shutil

import pytest

from tests.audit.build import build, write_study
from tests.sokoban import small_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The results of a finished study; not to be changed."""
    folder = tmp_path_factory.mktemp("audited")
    return build(folder, write_study(folder))


@pytest.fixture(scope="session")
def finished_policy(tmp_path_factory):
    """The results of a finished study of a policy; not to be changed."""
    folder = tmp_path_factory.mktemp("played")
    artefacts = ["table2", "table3", "fig6", "solved", "film"]
    return build(folder, small_study.write(folder, artefacts=artefacts))


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
