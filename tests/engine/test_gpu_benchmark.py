"""benchmarks.gpu at toy size on the CPU, where only torch, transformers, pandas, pyarrow, yaml and safetensors are."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import decomposition_lines
from benchmarks.gpu_run import Run

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
from benchmarks.gpu import main
main(sys.argv[1:])
"""
ABSENT = ("snakemake", "jsonschema", "grimp", "pydantic", "cmcrameri")


def run(tmp_path, *arguments):
    out = tmp_path / "gpu.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(("workflow/scripts", ".")), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BLOCKED.format(names=set(ABSENT)), "--device", "cpu", "--scale", "toy"]
    done = subprocess.run(
        [*command, "--out", str(out), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def errors(found, where=""):
    if isinstance(found, dict):
        yield from (f"{where}: {found[key]}" for key in ("error", "skipped", "stderr") if key in found)
        for key, value in found.items():
            yield from errors(value, f"{where}/{key}")


def test_every_step_runs_and_finds_the_engine_equal(tmp_path):
    names = ("environment", "products", "gptj", "llama", "families", "hours")
    steps = run(tmp_path, "--only", *names)
    assert list(errors(steps)) == []
    assert set(names) == set(steps)
    llama = steps["llama"]["found"]
    assert llama["converted"]
    assert llama["split_against_fp32"]["largest_nats"] < 1e-4
    assert llama["engine_against_plain, both split"]["largest_nats"] < 1e-4
    assert steps["families"]["found"]["engine_against_plain, fp32"]["largest_nats"] < 1e-4
    for entry in steps["products"]["found"].values():
        assert entry["fp32-split"]["relative_error"] < 2 * entry["fp32"]["relative_error"]


def test_decompositions_are_within_bounds(capsys):
    """What their step reads from another process, whose start this spares."""
    decomposition_lines(torch.device("cpu"), True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 2
    assert [entry for entry in lines if "error" in entry or not entry.get("within_bounds", True)] == []


def test_a_step_without_time_is_skipped_and_said():
    run = Run(torch.device("cpu"), True, None, time.monotonic() - 1)
    run.step("environment", 0, lambda run, found: pytest.fail("it was run"))
    assert "skipped" in run.steps["environment"]["found"]
