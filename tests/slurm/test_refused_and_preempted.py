"""Submissions that SLURM refuses, a site's banner before sbatch's answer, and a job that a more urgent one ends."""

import contextlib

import pytest

from tests.slurm import bed as cluster
from tests.slurm.harness import megabytes, same


@pytest.fixture
def banner(bed):
    """An sbatch that greets before it answers, as some sites' wrappers do."""
    path = bed.folder / "bin/sbatch"
    real = cluster.shutil.which("sbatch", path=cluster.SYSTEM_PATH)
    path.write_text(f'#!/bin/sh\necho "Welcome to cluster 2: 3 of its 4 nodes are up"\nexec {real} "$@"\n')
    path.chmod(0o755)
    yield
    path.unlink()


@contextlib.contextmanager
def drained(place):
    """A partition that takes no submissions."""
    place.slurm("scontrol", "update", "partitionname=all", "state=DRAIN")
    try:
        yield
    finally:
        place.slurm("scontrol", "update", "partitionname=all", "state=UP")


def test_refused_for_now_and_then_preempted(on_cluster, made, banner):
    place = on_cluster("before one sweep")
    place.plan("held", "sweep", "hold", half=True)
    with drained(place):
        run = place.start()
        place.wait(lambda: "SLURM takes no more jobs for now" in run.text, "the first submission is refused")
        assert place.jobs() == []
    first = place.met("held")
    urgent = [
        f"--nodelist={first['node']}",
        "--partition=urgent",
        "--exclusive",
        "--wrap=sleep 5",
        "--output=/dev/null",
    ]
    place.slurm("sbatch", "--chdir=/", *urgent)
    shown = run.succeed()
    lost, again, test = place.jobs()  # the banner's numbers have made no further ones
    assert (lost["id"], lost["state"]) == (first["job"], "PREEMPTED")
    assert again["state"] == test["state"] == "COMPLETED"
    # Being refused was no attempt: it would have raised the memory.
    assert megabytes(again["memory"]) == 2 * megabytes(lost["memory"])
    assert f"SLURM job {lost['id']} (rule_sweep/tiny-llama_worldfacts_0): preempted by another job" in shown
    same(place.made(), made["local"].made())


def test_refused_for_good(on_cluster):
    place = on_cluster("before one sweep")
    run = place.start("--set-resources", "sweep:runtime=99999")
    shown = run.finish()
    assert run.process.returncode != 0
    assert shown.count("SLURM refuses this job, so it is not tried again.") == 1
    assert "Requested time limit is invalid" in shown
    assert place.jobs() == []
