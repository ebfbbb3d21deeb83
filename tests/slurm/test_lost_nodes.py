"""A node that dies under its job, one that is drained under its job, and a controller that is away for a while."""

import signal
import time

from tests.slurm import bed as cluster
from tests.slurm.harness import same


def test_dead_and_drained_nodes(on_cluster, made):
    place = on_cluster("before one sweep")
    place.plan("held", "sweep", "hold", attempts=2, half=True)
    run = place.start()
    first = place.met("held")
    cluster.lose_node(place.bed, first["node"])
    second = place.met("held", attempt=2)
    assert second["node"] != first["node"]
    place.slurm("scontrol", "update", f"nodename={second['node']}", "state=drain", "reason=test")
    try:
        place.let_go("held")
        shown = run.succeed()
        lost, drained, test = place.jobs()
        assert (lost["state"], lost["node"]) == ("NODE_FAIL", first["node"])
        assert (drained["state"], drained["node"]) == (
            "COMPLETED",
            second["node"],
        )  # what runs on a drained node ends there
        assert test["node"] not in (first["node"], second["node"])
    finally:
        place.slurm("scontrol", "update", f"nodename={second['node']}", "state=resume")
        cluster.launch(place.bed, first["node"])
        cluster.wait_until_up(place.bed)
    assert f"SLURM-job '{lost['id']}' failed due to a node failure" in shown
    assert f"SLURM job {lost['id']} (rule_sweep/tiny-llama_worldfacts_0): its log ends in the middle" in shown
    same(place.made(), made["local"].made())


def test_controller_away_while_a_job_ends(on_cluster, made):
    place = on_cluster("before one sweep")
    place.plan("held", "sweep", "hold")
    run = place.start()
    place.met("held")
    time.sleep(6)  # the controller has written down by now that the job runs
    cluster.end(place.bed, "slurmctld", signal.SIGKILL)
    place.let_go("held")
    # Five of Snakemake's questions in a row go without an answer, which by its default would be the end of all asking.
    time.sleep(75)
    assert run.process.poll() is None
    cluster.launch(place.bed, "slurmctld")
    run.succeed()
    assert [job["state"] for job in place.jobs()] == ["COMPLETED", "COMPLETED"]
    same(place.made(), made["local"].made())
