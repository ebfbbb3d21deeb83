"""What the engine does on a GPU: equality, precision, decompositions, speed, memory; one command of at most 9 minutes.

    PYTHONPATH=workflow/scripts:. python -m benchmarks.gpu --out gpu.json
    PYTHONPATH=workflow/scripts:. python -m benchmarks.gpu --device cpu --scale toy --out toy.json

Needs torch, transformers, numpy, pandas, pyarrow, yaml and safetensors, one GPU of 40 GB or more, and no network: the
large models are GPT-J 6B's and Llama 2 7B's shapes with random weights, made on the device. The file is written anew
after every step. If a step fails, its error is written and the rest continues; a step for which no time is left is
skipped and says so. docs/gpu.md shows what was found.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.gpu_layers import gptj, hours, llama
from benchmarks.gpu_run import GIGA, TERA, Run, gaps, synchronize, timed
from laser.engine import fast, naive
from laser.engine.products import fused_halves, fused_sum, split_linear
from laser.models.device import DTYPES, configure_allocator, pin_precision, precision_facts
from laser.reduction.edit import randomised_range
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.reduction.svd import Factors, check, exact_svd, gram_svd, within_bounds


def environment(run: Run, found: dict[str, Any]) -> None:
    """Versions, the card, its rates for large products and copies."""
    device, size = run.device, 256 if run.toy else 8192
    found |= {"torch": torch.__version__, "transformers": transformers.__version__, "cpus": os.cpu_count()}
    if run.cuda:
        card = torch.cuda.get_device_properties(0)
        found |= {"card": card.name, "memory_GB": card.total_memory / GIGA, "cuda": torch.version.cuda}
    rates = found.setdefault("product_TFLOP_s", {})
    for name, dtype in DTYPES.items():
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates[name] = 2 * size**3 / timed(device, lambda left=left, right=right: left @ right) / TERA
    run.kept["rates"] = rates
    host = torch.zeros(size * size, dtype=torch.float32)
    found["host_to_device_GB_s"] = 4 * size**2 / timed(device, lambda: host.to(device, copy=True)) / GIGA
    if run.cuda:
        block = torch.empty(2**30, dtype=torch.float32, device=device)
        found["memory_GB_s"] = 2 * 4 * 2**30 / timed(device, lambda: block.clone()) / GIGA


def products(run: Run, found: dict[str, Any]) -> None:
    """Accuracy and speed of the products of an fp32 model whose weights are exact in fp16."""
    device = run.device
    shapes = {"u_gate": (11008, 4096), "u_out": (4096, 11008), "gptj u_out": (4096, 16384), "head": (32000, 4096)}
    if run.toy:
        shapes = {"u_gate": (172, 64), "u_out": (64, 172)}
    rows = 64 if run.toy else 8192
    for name, (outputs, inputs) in shapes.items():
        generator = torch.Generator().manual_seed(1)
        states = torch.randn(rows, inputs, generator=generator)
        states[:, : inputs // 64] *= 50  # like the few large components of a real model's states
        states = states.to(device)
        half = (torch.randn(outputs, inputs, generator=generator) * 0.02).half().to(device)
        single, full = half.float(), torch.randn(outputs, inputs, generator=generator).mul_(0.02).to(device)
        some = slice(0, 1024)
        ways: dict[str, tuple[Callable[[], torch.Tensor], torch.Tensor]] = {
            "fp32": (lambda single=single, states=states: states @ single.T, half),
            "fp16": (lambda half=half, states=states: states.half() @ half.T, half),
            "bf16": (lambda half=half, states=states: states.bfloat16() @ half.bfloat16().T, half),
            "fp32-split": (lambda half=half, states=states: split_linear(states, half), half),
            "fp32-split, fp32 weight": (lambda full=full, states=states: split_linear(states, full), full),
        }
        entry = found.setdefault(name, {})
        for way, (work, weight) in ways.items():
            exact = states[some].double() @ weight.double().T
            entry[way] = _accuracy(run, work, exact, some, rows * outputs * inputs)
        if run.cuda:
            torch.set_float32_matmul_precision("high")
            exact = states[some].double() @ half.double().T
            entry["tf32"] = _accuracy(run, ways["fp32"][0], exact, some, rows * outputs * inputs)
            torch.set_float32_matmul_precision("highest")
    rates = [entry["fp32-split"]["TFLOP_s"] for entry in found.values()]
    run.kept["rates"]["fp32-split"] = sum(rates) / len(rates)
    if run.cuda:
        run.kept["fused"] = {"split in one kernel": fused_halves() is not None, "sums added in one go": fused_sum()}
        run.steps["environment"] |= run.kept["fused"]


def _accuracy(
    run: Run, work: Callable[[], torch.Tensor], exact: torch.Tensor, some: slice, products_made: int
) -> dict[str, float]:
    difference = work()[some].double() - exact
    return {
        "relative_error": float(difference.norm() / exact.norm()),
        "largest_error": float(difference.abs().max() / exact.abs().max()),
        "TFLOP_s": 2 * products_made / timed(run.device, work) / TERA,
    }


def pinning(run: Run, found: dict[str, Any]) -> None:
    """Whether the pinned precision holds where the environment asks for TF32."""
    environment = os.environ | {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1", "NVIDIA_TF32_OVERRIDE": "1"}
    code = (
        "import sys, torch\n"
        "from laser.models.device import pin_precision, precision_facts\n"
        "device = torch.device(sys.argv[1])\n"
        "if sys.argv[2] == 'pinned': pin_precision()\n"
        "a, b = (torch.randn(512, 512, generator=torch.Generator().manual_seed(n)).to(device) for n in (0, 1))\n"
        "exact = a.double() @ b.double()\n"
        "print(float(((a @ b).double() - exact).norm() / exact.norm()), precision_facts(device))\n"
    )
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", code, str(run.device), name], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for name in ("as the environment says", "pinned")[run.toy :]
    }  # fmt: skip
    for name, process in started.items():
        printed, complaint = process.communicate(timeout=60)
        error, _, facts = printed.strip().partition(" ")
        found[name] = {"relative_error": float(error), "facts": facts} if error else complaint[-300:]


def families(run: Run, found: dict[str, Any]) -> None:
    """Tiny models in three dtypes: the engine there against plain transformers there, and against the CPU."""
    from tests.engine.tiny_models import CAUSAL, CONFIGS, MASKED, made, masked_requests, requests

    names = list(CONFIGS)[:2] if run.toy else CAUSAL + MASKED
    for family in names:
        asked = requests(count=6) if family in CAUSAL else masked_requests(count=6)
        for dtype in DTYPES:
            if time.monotonic() > run.deadline:
                found["ended"] = f"no time is left for {family}/{dtype}"
                break
            entry = found.setdefault(f"{family}/{dtype}", {})
            try:
                here = made(CONFIGS[family](), dtype)
                there = replace(here, model=copy.deepcopy(here.model).to(run.device), device=run.device)
                matrices = list(fast.network(here.model).blocks[1].linears)  # type: ignore[union-attr]
                kinds = [("svd", 0.3), ("randomised", 0.3)] if dtype == "fp32" else [("svd", 0.5)]
                edits = [(), *((Intervention(name, 1, rho, kind),) for name in matrices for kind, rho in kinds)]
                with tempfile.TemporaryDirectory() as folder:
                    store = FactorStore(Path(folder))
                    on_device = list(fast.evaluate(there, asked, edits, store, 400))
                    entry["engine_against_plain"] = gaps(naive.evaluate(there, asked, edits, store, 400), on_device)
                    if dtype == "fp32":
                        on_cpu = fast.evaluate(here, asked, edits, store, 400)
                        entry["device_against_cpu"] = gaps(on_cpu, on_device)
            except Exception as error:
                entry["error"] = repr(error)[:300]
    for way in ("engine_against_plain", "device_against_cpu"):
        for dtype in DTYPES:
            chosen = [value[way] for key, value in found.items() if key.endswith(f"/{dtype}") and way in value]
            if chosen:
                found[f"{way}, {dtype}"] = {
                    "largest_nats": max(one["largest_nats"] for one in chosen),
                    "largest_median_nats": max(one["median_nats"] for one in chosen),
                    "continuations_that_differ": sum(one["continuations_that_differ"] for one in chosen),
                    "continuations": sum(one["continuations"] for one in chosen),
                }


def spectrum_matrix(shape: tuple[int, int], condition: float, device: torch.device) -> torch.Tensor:
    """Return a random matrix with geometrically spaced singular values from 1 to 1/condition."""
    generator = torch.Generator().manual_seed(0)
    count = min(shape)
    sides = [torch.randn(size, count, generator=generator).to(device) for size in shape]
    left, right = (torch.linalg.qr(side).Q for side in sides)
    return (left * torch.logspace(0, -math.log10(condition), count, device=device)) @ right.T


def decomposition_lines(device: torch.device, toy: bool) -> None:
    """Decompose with each driver and print a line of JSON for each; run in its own process, which may end early."""

    def line(name: str, work: Callable[[], dict[str, Any]]) -> None:
        try:
            print(json.dumps({"name": name} | work()), flush=True)
        except Exception as error:
            print(json.dumps({"name": name, "error": repr(error)[:300]}), flush=True)

    def decomposed(matrix: torch.Tensor, how: Callable[[torch.Tensor], Sequence[torch.Tensor]]) -> dict[str, Any]:
        how(matrix[:64, :64])
        synchronize(device)
        start = time.perf_counter()
        parts = how(matrix)
        synchronize(device)
        seconds = time.perf_counter() - start
        factors = Factors(*(part.to(device, torch.float32) for part in parts))
        checked = check(factors, matrix.to(device))
        return {"seconds": seconds, "within_bounds": within_bounds(checked), **checked}

    def approximated(matrix: torch.Tensor, rho: float) -> dict[str, Any]:
        kept = int(rho * min(matrix.shape))
        start = time.perf_counter()
        randomised_range(matrix, kept, 2)
        synchronize(device)
        return {"seconds": time.perf_counter() - start, "kept": kept}

    tall, wide = ((512, 128), (64, 172)) if toy else ((16384, 4096), (4096, 11008))
    matrix = spectrum_matrix(tall, 1e4, device)
    other = spectrum_matrix(wide, 1e4, device)
    name = f"{tall[0]}x{tall[1]}"

    def driver(which: str | None) -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
        return lambda value: torch.linalg.svd(value, full_matrices=False, driver=which)

    def whole(value: torch.Tensor) -> dict[str, Any]:
        start = time.perf_counter()
        exact_svd(value)
        synchronize(device)
        return {"seconds": time.perf_counter() - start}

    line(f"{name} gram matrix, eigh in fp64", lambda: decomposed(matrix, gram_svd))
    line(f"{wide[0]}x{wide[1]} gram matrix, eigh in fp64", lambda: decomposed(other, gram_svd))
    line(f"{name} exact_svd, checks included", lambda: whole(matrix))
    for rho in (0.1, 0.9, 0.9, 0.1):
        line(f"{name} randomised, products on the device, rho {rho}", lambda rho=rho: approximated(matrix, rho))
    if device.type == "cuda":
        torch.set_num_threads(os.cpu_count() or 1)
        for which in ("gesvda", "gesvdj"):
            line(f"{name} {which}", lambda which=which: decomposed(matrix, driver(which)))
    line(f"{name} LAPACK on the CPU, all threads", lambda: decomposed(matrix.cpu(), driver(None)))
    if device.type == "cuda":
        line(f"{name} gesvd", lambda: decomposed(matrix, driver("gesvd")))


def decompositions(run: Run, found: dict[str, Any], limit: float = 70.0) -> None:
    """Times and errors of the decompositions of the paper's largest matrices, at condition 1e4."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", run.device.type, "--lines"]
    command += ["--scale", "toy"] if run.toy else []
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complaint:
        process = subprocess.Popen(command, stdout=printed, stderr=complaint, text=True)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            found["ended"] = f"after {limit} s, in the line after the last"
        printed.seek(0)
        complaint.seek(0)
        for text in printed:
            entry = json.loads(text)
            name = entry.pop("name")
            found[name if name not in found else f"{name}, again"] = entry
        if process.returncode:
            found["stderr"] = complaint.read()[-400:]


STEPS: dict[str, tuple[float, Callable[[Run, dict[str, Any]], None]]] = {
    "environment": (5, environment),
    "products": (10, products),
    "pinning": (15, pinning),
    "gptj": (60, gptj),
    "llama": (90, llama),
    "decompositions": (80, decompositions),
    "families": (60, families),
    "hours": (1, hours),
}
"""Seconds planned and function of each step, the most valuable first."""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the steps; return and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--scale", default="full", choices=("full", "toy"))
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--seconds", type=float, default=530, help="steps that would end later are skipped")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--lines", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    configure_allocator()
    if given.lines:
        decomposition_lines(device, given.scale == "toy")
        return {}
    run = Run(device, given.scale == "toy", given.out, time.monotonic() + given.seconds)
    with torch.no_grad():
        for name, (seconds, work) in STEPS.items():
            if name in given.only:
                run.step(name, 0 if run.toy else seconds, work)
            if name == "products":
                pin_precision()  # sets a variable that cuBLAS reads once: after TF32 was measured
                run.steps["environment" if "environment" in run.steps else "facts"] |= precision_facts(device)
    run.write()
    return run.steps


if __name__ == "__main__":
    main()
