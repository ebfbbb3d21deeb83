"""A Python with troubles: rules' commands run through it, and meet on their first attempts what a test has planned.

The tests run Snakemake from an environment whose `python` starts this file; the workflow itself knows nothing of it.
A plan is a file <name>.json in the folder that the environment variable TROUBLE names:

    script, log    the command that it is for: the script's name, and a part of its --log path
    attempts       how many first attempts are met (default 1)
    half           write half files to a sweep's outputs first, as a dying job leaves them
    action         sleep: until killed; hold: until <name>.go is there; allocate: half as much again as the first
                   attempt's memory limit, at every attempt, then go on

When it acts it writes <name>.<attempt>.json with the SLURM job and node.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

LONGEST = 900


def main(arguments: list[str]) -> None:
    """Meet the plan for this command, if there is one; then be the Python that was asked for."""
    for path in sorted(Path(os.environ["TROUBLE"]).glob("*.json")):
        plan = json.loads(path.read_text())
        if "script" in plan and applies(plan, arguments):
            meet(path, plan, arguments)
    os.execv(sys.executable, [sys.executable, *arguments])


def applies(plan: dict, arguments: list[str]) -> bool:
    """Whether a plan is for this command."""
    if not arguments or Path(arguments[0]).stem != plan["script"] or "--log" not in arguments:
        return False
    return plan.get("log", "") in arguments[arguments.index("--log") + 1]


def meet(path: Path, plan: dict, arguments: list[str]) -> None:
    """Do what the plan says, unless enough attempts were met."""
    attempt = 1 + len(list(path.parent.glob(f"{path.stem}.*.json")))
    met = attempt <= plan.get("attempts", 1)
    if not met and plan["action"] != "allocate":
        return
    if met and plan.get("half"):
        leave_half_files(arguments)
    memory = path.with_suffix(".megabytes")
    if plan["action"] == "allocate" and not memory.exists():
        memory.write_text(str(int(1.5 * limit())))
    here = {"job": os.environ.get("SLURM_JOB_ID"), "node": os.environ.get("SLURMD_NODENAME")}
    written = path.with_name(f"{path.stem}.{attempt}.json.part")
    written.write_text(json.dumps(here))
    written.rename(path.with_name(f"{path.stem}.{attempt}.json"))
    if plan["action"] == "allocate":
        # Filled with something, for untouched pages take no memory.
        held = [b"x" * 2**20 for _ in range(int(memory.read_text()))]
        print(f"held {len(held)} MB", flush=True)
        return
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and not (plan["action"] == "hold" and path.with_suffix(".go").exists()):
        time.sleep(0.2)


def limit() -> int:
    """Return the memory limit of this SLURM job in MB."""
    shown = subprocess.run(
        ["scontrol", "show", "job", os.environ["SLURM_JOB_ID"]], capture_output=True, text=True, check=True
    ).stdout
    number, unit = re.search(r"MinMemoryNode=([\d.]+)([MG])", shown).groups()
    return int(float(number) * (1024 if unit == "G" else 1))


def leave_half_files(arguments: list[str]) -> None:
    """Write half a file to each output of a sweep, and one of those that atomic writing has while it writes."""
    spec = json.loads(arguments[arguments.index("--spec") + 1])
    results = Path(arguments[arguments.index("--results") + 1])
    folder = results / "sweep" / spec["model"]["name"] / spec["dataset"]["name"] / f"layer{spec['layer']}"
    folder.mkdir(parents=True, exist_ok=True)
    for rho in spec["rhos"]:
        output = folder / f"rho{rho:g}.parquet"
        output.write_bytes(b"PAR1" + bytes(100))
        output.with_name(f".{output.name}.dead.tmp").write_bytes(b"PAR1")


if __name__ == "__main__":
    main(sys.argv[1:])
