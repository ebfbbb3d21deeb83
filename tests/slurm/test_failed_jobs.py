"""Jobs that are cancelled, or exceed memory or time: made again with more, to the bytes of a local run."""

from tests.slurm.harness import megabytes, same


def attempts(place, layer: int) -> list[dict[str, str]]:
    return [job for job in place.jobs() if job["comment"].endswith(f"sweep_wildcards_tiny-llama_worldfacts_{layer}")]


def test_cancelled_out_of_memory_and_out_of_time(on_cluster, made):
    place = on_cluster("before sweeps")
    place.plan("cancelled", "sweep", "sleep", log="layer0", half=True)
    place.plan("memory", "sweep", "allocate", log="layer1", half=True)
    place.plan("time", "sweep", "sleep", log="layer2", half=True)
    run = place.start()
    place.slurm("scontrol", "update", f"jobid={place.met('time')['job']}", "TimeLimit=1")
    place.met("memory")
    place.slurm("scancel", place.met("cancelled")["job"])
    shown = run.succeed()
    names = ("cancelled", "memory", "time")
    states = {name: [job["state"] for job in attempts(place, layer)] for layer, name in enumerate(names)}
    # The kernel ends the rule's command; SLURM calls the job by what its outer shell made of that.
    assert states["memory"][0] in ("OUT_OF_MEMORY", "FAILED") and states["memory"][1:] == ["COMPLETED"]
    assert states["cancelled"] == ["CANCELLED", "COMPLETED"]
    assert states["time"] == ["TIMEOUT", "COMPLETED"]
    told = shown[shown.index("3 SLURM job(s) failed") :]
    for layer, reason in enumerate(("cancelled", "out of memory", "time limit reached")):
        first, second = attempts(place, layer)
        assert megabytes(second["memory"]) == 2 * megabytes(first["memory"])
        assert f"SLURM-job '{first['id']}' failed, SLURM status is: '{first['state']}'" in shown
        log = f"logs/slurm/rule_sweep/tiny-llama_worldfacts_{layer}/{first['id']}.log"
        assert f"SLURM job {first['id']} (rule_sweep/tiny-llama_worldfacts_{layer}): {reason}. Log: {log}\n" in told
    same(place.made(), made["local"].made())
