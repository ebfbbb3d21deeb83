"""`snakemake --profile slurm all` on a cluster with GPUs: the quickstart's jobs, to the bytes of a local run."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.slurm.conftest import place
from tests.slurm.harness import megabytes, same


@pytest.fixture
def both(shared, bed, tmp_path):
    """One clone for the cluster and one for a local run."""
    pair = (
        replace(place(shared, tmp_path / "cluster", "quickstart"), bed=bed),
        place(shared, tmp_path / "local", "quickstart"),
    )
    yield pair
    for one in pair:
        one.end()


def test_quickstart(both):
    on_cluster, local = both
    run, reference = on_cluster.start(), local.start(local=True)
    run.succeed()
    reference.succeed()
    jobs = on_cluster.jobs()
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    rules = Counter(re.match(r"rule_([a-z0-9_]+)_wildcards_", job["comment"]).group(1) for job in jobs)
    # Tables and the like never go through the queue.
    evaluated = {"base": 2, "sweep": 4, "test_intervention": 2, "evaluate_baselines": 1}
    assert rules == {"train": 1, "reduce": 4} | evaluated
    for job in jobs:
        shown = on_cluster.slurm("scontrol", "show", "job", job["id"])
        assert "gres:gpu:1" in shown, shown
        assert megabytes(job["memory"]) > 400
        assert "Requeue=0" in shown
        log = re.search(r"StdOut=(\S+)", shown).group(1)
        assert log.startswith(f"{on_cluster.folder}/logs/slurm/rule_")
    assert len(list((on_cluster.folder / "logs/slurm").rglob("*.log"))) == len(jobs)
    same(on_cluster.made(), local.made())
    tables = {path.name for path in (on_cluster.results / "tables").iterdir()}
    assert {f"{name}.csv" for name in ("table1", "table3", "table4", "table5", "verdicts")} <= tables
    assert (on_cluster.results / "report/index.html").exists()
