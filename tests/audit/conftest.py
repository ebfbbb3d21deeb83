"""One small study, and one of a policy, for all tests of the audit."""

import os
import shutil
from contextlib import contextmanager
from unittest import mock

import pytest

from tests.audit.build import write_study
from tests.audit.remembered import Remembered, stamps
from tests.made_once import made_once
from tests.sokoban import small_study
from tests.workflow.one_process import build
from tests.workflow.runner import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The results of a finished study; not to be changed."""
    return made_once(tmp_path_factory, "audited", lambda folder: build(folder, write_study(folder)))


@pytest.fixture(scope="session")
def finished_policy(tmp_path_factory):
    """The results of a finished study of a policy; not to be changed."""

    def make(folder):
        done = run(folder, small_study.write(folder), "all")
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / "results/tiny-sokoban"

    return made_once(tmp_path_factory, "played", make)


class Copy:
    """A copy of a finished study for all tests of a worker: what one changes is put back for the next."""

    def __init__(self, finished, folder):
        self.finished, self.folder, self.remembered = finished, folder / "unpacked", Remembered(finished)
        self.folders = folders(finished)
        shutil.copytree(finished, self.folder, symlinks=True)

    @contextmanager
    def lent(self):
        """Yield the folder, of which an audit reads only what has changed."""
        with mock.patch("laser_audit.run.Study", self.remembered.study):
            yield self.folder
        if folders(self.folder) != self.folders:
            shutil.rmtree(self.folder)
            shutil.copytree(self.finished, self.folder, symlinks=True)
        before, now = self.remembered.stamps, stamps(self.folder)
        for path, _ in now.items() - before.items():
            (self.folder / path).unlink()
        for path, _ in before.items() - now.items():
            shutil.copy2(self.finished / path, self.folder / path, follow_symlinks=False)


def folders(folder):
    """Return the paths of all folders in a folder."""
    return {
        os.path.relpath(os.path.join(inside, name), folder) for inside, names, _ in os.walk(folder) for name in names
    }


@pytest.fixture(scope="session")
def copy(finished, tmp_path_factory):
    """A copy of the study."""
    return Copy(finished, tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def copy_of_policy(finished_policy, tmp_path_factory):
    """A copy of the study of a policy."""
    return Copy(finished_policy, tmp_path_factory.mktemp("copy"))


@pytest.fixture
def study(copy):
    """The results, to do things to, far from the cache."""
    with copy.lent() as folder:
        yield folder


@pytest.fixture
def policy(copy_of_policy):
    """The results of the study of a policy, to do things to."""
    with copy_of_policy.lent() as folder:
        yield folder
