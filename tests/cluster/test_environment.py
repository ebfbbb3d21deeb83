"""What jobs find in their environment."""

import os
from pathlib import Path

import pytest

from laser.cluster.environment import check_paths, set_environment
from laser.config.paths import Folders
from laser.errors import UserError
from laser.io import claim


@pytest.mark.parametrize("path", ["/home/a{b}/laser", "results/{model}", "x}", Path("/data/{")])
def test_a_brace_in_a_path_is_one_message(path):
    with pytest.raises(UserError, match=r"cache: the path .* has a brace"):
        check_paths(results="results", cache=path)


def test_other_odd_paths_are_taken():
    check_paths(results="a b/[c]/$d/é'\"", cache="")


def test_jobs_get_python_without_the_users_warnings_and_optimisation(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ, PYTHONWARNINGS="error", PYTHONOPTIMIZE="2", KEPT="1"))
    set_environment(Path("scripts"), Folders("a", "b"))
    assert not {"PYTHONWARNINGS", "PYTHONOPTIMIZE"} & set(os.environ) and os.environ["KEPT"] == "1"


@pytest.mark.parametrize(
    ("main_process", "expected"),
    [(True, claim.run_of_this_process()), (False, "of the outer one")],
    ids=["main process", "job"],
)
def test_jobs_belong_to_the_main_process(monkeypatch, main_process, expected):
    monkeypatch.setattr(os, "environ", os.environ | {claim.RUN: "of the outer one"})
    set_environment(Path("scripts"), Folders("a", "b"), main_process=main_process)
    assert os.environ[claim.RUN] == expected
