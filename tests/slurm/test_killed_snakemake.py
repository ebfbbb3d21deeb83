"""Snakemake itself is killed, its jobs go on in SLURM; started again, it makes what is missing, to the same bytes."""

import re

from laser.cost.requests import GPU_JOB_CPUS
from tests.slurm.conftest import SWEEP
from tests.slurm.harness import contents, same


def started_late(place, job):
    """Submit a job's own script once more, as SLURM starts one that has waited; return the new job."""
    script = place.folder.with_name("late.sh")
    place.slurm("scontrol", "write", "batch_script", job, str(script))
    flags = [f"--chdir={place.folder}", f"--output={script}.log", "--mem=2000", "--gpus=1"]
    flags += [f"--cpus-per-task={GPU_JOB_CPUS}", "--parsable", f"--export=ALL,TROUBLE={place.trouble}"]
    return place.slurm("sbatch", *flags, str(script)).strip()


def test_killed_and_started_again(on_cluster, made):
    place = on_cluster("before sweeps")
    place.plan("layer1", "sweep", "hold", log="layer1", half=True)
    place.plan("layer2", "sweep", "hold", log="layer2", half=True, attempts=2)
    first = place.start()
    whole = place.folder / SWEEP / "layer0/rho0.5.parquet"
    left = sorted(place.met(name)["job"] for name in ("layer1", "layer2"))
    place.wait(
        lambda: re.search(r"Finished jobid: \d+ \(Rule: sweep\)", first.text) and whole.exists(), "layer 0 is finished"
    )
    first.process.kill()
    first.process.wait()
    before = whole.stat().st_mtime_ns
    assert sorted(job["id"] for job in place.jobs() if job["state"] == "RUNNING") == left
    half = place.folder / SWEEP / "layer1/rho0.5.parquet"
    assert half.read_bytes() != made["local"].made()["sweep/tiny-llama/worldfacts/layer1/rho0.5.parquet"]

    locks = contents(place.folder / ".snakemake/locks")
    marks = contents(place.folder / ".snakemake/incomplete")
    assert locks and marks
    # A dry run changes nothing; nor does a job of the dead run that starts only now.
    dry = place.start("--dry-run").succeed()
    assert "cancelled" not in dry
    late = started_late(place, place.met("layer2")["job"])
    assert place.met("layer2", attempt=2, running=False)["job"] == late
    assert contents(place.folder / ".snakemake/locks") == locks
    assert contents(place.folder / ".snakemake/incomplete") == marks
    assert half.exists()
    place.slurm("scancel", late)

    shown = place.start().succeed()
    assert f"An earlier run in this folder was stopped and left 2 SLURM job(s): {', '.join(left)}." in shown
    states = {job["id"]: job["state"] for job in place.jobs()}
    assert [states[one] for one in left] == ["CANCELLED", "CANCELLED"]
    assert whole.stat().st_mtime_ns == before  # what was finished is not made again
    same(place.made(), made["local"].made())
