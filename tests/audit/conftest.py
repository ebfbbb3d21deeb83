"""One small study for all tests of the audit."""

import shutil

import pytest

from tests.audit.build import build


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The results of a finished study; not to be changed."""
    return build(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the results, to do things to, far from the cache."""
    shutil.copytree(finished, tmp_path / "unpacked")
    return tmp_path / "unpacked"
