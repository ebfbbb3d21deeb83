"""What the engine does on a GPU: equality, precision, decompositions, speed, memory; one command of at most 9 minutes.

    PYTHONPATH=workflow/scripts:. python -m benchmarks.gpu --out gpu.json
    PYTHONPATH=workflow/scripts:. python -m benchmarks.gpu --device cpu --scale toy --out toy.json

Needs torch, transformers, numpy, pandas, pyarrow, yaml and safetensors, one GPU of 40 GB or more, and no network: the
large models are GPT-J 6B's and Llama 2 7B's shapes with random weights, made on the device. The file is written anew
after every step. A step that fails writes its error and the rest goes on; one for which no time is left is skipped and
says so. docs/gpu.md shows what was found.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers

from laser.cost import operations
from laser.cost.shapes import shape_of
from laser.engine import fast, naive
from laser.engine.products import fused_halves, fused_sum, split_linear, use_split_products
from laser.models.load import DTYPES, LoadedModel
from laser.models.precision import configure_allocator, pin_precision, precision_facts
from laser.reduction.edit import randomised_range
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.reduction.svd import Factors, check, exact_svd, gram_svd, within_bounds
from laser.tasks.passes import Answers, Generation, Pass, Requests

GRID = (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005)
DATASETS = {
    "counterfact": "counterfact", "hotpot": "hotpotqa", "fever": "fever", "bios_gender": "bios_gender",
    "bios_profession": "bios_profession", "truthfulqa": "truthfulqa", "epistemic_reasoning": "epistemic_reasoning",
    "qa_wikidata": "qa_wikidata",
}  # fmt: skip
"""The paper's datasets and their builders, as in config/datasets.yaml."""
PROMPT_LENGTHS = (8, 23, 23)
"""Tokens of CounterFact's base prompts and paraphrases, about."""
GIGA = 1e9
TERA = 1e12


@dataclass
class Run:
    """One run of the benchmark.

    Attributes:
        device: where it runs.
        toy: whether shapes are tiny, for a check on a CPU.
        out: the file.
        deadline: by `time.monotonic`.
        steps: what was found, by step.
        kept: what later steps need of earlier ones.
    """

    device: torch.device
    toy: bool
    out: Path | None
    deadline: float
    steps: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.device.type == "cuda"

    def write(self) -> None:
        """Write the file anew."""
        if self.out is not None:
            self.out.write_text(json.dumps(self.steps, indent=1, default=str) + "\n", encoding="utf-8")

    def step(self, name: str, seconds: float, work: Callable[[Run, dict[str, Any]], None]) -> None:
        """Run a step that fills the mapping it is given, unless less than `seconds` are left."""
        found: dict[str, Any] = {}
        self.steps[name] = {"found": found}
        left = self.deadline - time.monotonic()
        if left < seconds:
            found["skipped"] = f"{left:.0f} s are left, {seconds:.0f} are planned"
            self.write()
            return
        start = time.monotonic()
        try:
            work(self, found)
        except Exception as error:
            found["error"] = repr(error)[:400]
            found["trace"] = traceback.format_exc()[-1200:]
        self.steps[name] |= {"seconds": round(time.monotonic() - start, 2), "planned": seconds}
        if self.cuda:
            torch.cuda.empty_cache()
        self.write()
        print(name, json.dumps(self.steps[name], default=str)[:900], flush=True)


def timed(device: torch.device, work: Callable[[], Any], repeat: int = 3) -> float:
    """Return the median seconds of `work`, after one run that warms up."""
    times = []
    for _ in range(repeat + 1):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeat // 2]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


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
        states[:, : inputs // 64] *= 50  # as the few large components of a real model's states
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
        "from laser.models.precision import pin_precision, precision_facts\n"
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


def gaps(left: Iterable[Answers], right: Iterable[Answers]) -> dict[str, Any]:
    """Return the largest and the median difference of log-probabilities, and how many continuations differ."""
    differences: list[float] = []
    differing = count = 0
    for expected, answers in zip(left, right, strict=True):
        for a, b in zip(expected.passes, answers.passes, strict=True):
            differences += [abs(x - y) for x, y in zip(a.logprobs, b.logprobs, strict=True)]
        for a_tokens, b_tokens in zip(expected.generations, answers.generations, strict=True):
            count += 1
            differing += a_tokens != b_tokens
    differences.sort()
    return {
        "largest_nats": differences[-1] if differences else 0.0,
        "median_nats": differences[len(differences) // 2] if differences else 0.0,
        "continuations": count,
        "continuations_that_differ": differing,
        "finite": all(map(math.isfinite, differences)),
    }


def families(run: Run, found: dict[str, Any]) -> None:
    """Ten tiny families in three dtypes: the engine there against plain transformers there, and against the CPU."""
    from tests.engine.tiny_models import CAUSAL, CONFIGS, made, masked_requests, requests

    names = list(CONFIGS)[:2] if run.toy else list(CONFIGS)
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
    """Return a random matrix with singular values from 1 to 1/condition, geometrically."""
    generator = torch.Generator().manual_seed(0)
    count = min(shape)
    sides = [torch.randn(size, count, generator=generator).to(device) for size in shape]
    left, right = (torch.linalg.qr(side).Q for side in sides)
    return (left * torch.logspace(0, -math.log10(condition), count, device=device)) @ right.T


def decomposition_lines(device: torch.device, toy: bool) -> None:
    """Decompose by each driver, a line of JSON each: run in a process of its own, which may be ended at any line."""

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


def made_requests(rows: int, new_tokens: int, vocabulary: int) -> Requests:
    """Return random prompts of the lengths of CounterFact's, each with one answer token and maybe a continuation."""
    draw = random.Random(0)
    passes, generations = [], []
    for index in range(rows):
        length = max(3, int(draw.gauss(PROMPT_LENGTHS[index % len(PROMPT_LENGTHS)], 3)))
        ids = (1, *(draw.randrange(10, vocabulary) for _ in range(length - 1)))
        passes.append(Pass(ids, ((length - 1, draw.randrange(10, vocabulary)),), (length - 1,)))
        if new_tokens:
            generations.append(Generation(ids, new_tokens))
    return Requests(tuple(passes), tuple(generations))


def entries(toy: bool) -> dict[str, dict[str, Any]]:
    """Return the shapes of GPT-J 6B and Llama 2 7B as model entries."""
    gptj = dict(name="gpt-j-6b", layers=28, hidden=4096, intermediate=16384, heads=16, vocabulary=50400,
                parameters=6050882784, architecture="gptj", dtype="fp16")  # fmt: skip
    llama = dict(name="llama2-7b", layers=32, hidden=4096, intermediate=11008, heads=32, vocabulary=32000,
                 parameters=6738415616, architecture="llama", dtype="fp32")  # fmt: skip
    if toy:
        gptj |= dict(layers=4, hidden=64, intermediate=256, heads=4, vocabulary=500, parameters=264000)
        llama |= dict(layers=4, hidden=64, intermediate=172, heads=4, vocabulary=500, parameters=262000)
    return {"gptj": gptj, "llama": llama}


def random_model(run: Run, name: str, dtype: str) -> LoadedModel:
    """Make a model of a shape with random weights that are exact in fp16, on the device."""
    entry = entries(run.toy)[name]
    if name == "gptj":
        config: Any = transformers.GPTJConfig(
            vocab_size=entry["vocabulary"], n_embd=entry["hidden"], n_layer=entry["layers"], n_head=entry["heads"],
            rotary_dim=8 if run.toy else 64,
        )  # fmt: skip
    else:
        config = transformers.LlamaConfig(
            vocab_size=entry["vocabulary"], hidden_size=entry["hidden"], intermediate_size=entry["intermediate"],
            num_hidden_layers=entry["layers"], num_attention_heads=entry["heads"], num_key_value_heads=entry["heads"],
        )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(run.device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])
    model = model.to(run.device).eval().requires_grad_(False)
    model.generation_config.eos_token_id = None
    for parameter in model.parameters():
        parameter.copy_(parameter.half().to(parameter.dtype))
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=2)
    return LoadedModel(model, tokenizer, config.to_dict(), "causal", run.device, dtype, Path("made"))


def layer_edits(matrices: Sequence[str], layer: int, kinds: Sequence[str]) -> list[tuple[Intervention, ...]]:
    """Return the paper's grid on one layer."""
    return [(Intervention(matrix, layer, rho, kind),) for kind in kinds for matrix in matrices for rho in GRID]


def layer_job(
    run: Run, loaded: LoadedModel, name: str, asked: Requests, edits: Sequence[tuple[Intervention, ...]], store: Any,
    budget: int, drafts: Any = None,
) -> tuple[dict[str, Any], list[Answers]]:  # fmt: skip
    """Evaluate one layer's edits; return what was measured, and the answers."""
    from laser.cost.inputs import asked_from

    if run.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    synchronize(run.device)
    start = time.perf_counter()
    preparing = []
    real = fast.changes

    def prepared(*arguments: Any) -> Any:
        begin = time.perf_counter()
        made = real(*arguments)
        synchronize(run.device)
        preparing.append(time.perf_counter() - begin)
        return made

    fast.changes = prepared
    try:
        answers = list(fast.evaluate(loaded, asked, edits, store, budget, drafts=drafts))
    finally:
        fast.changes = real
    synchronize(run.device)
    seconds = time.perf_counter() - start - sum(preparing)
    rows = len(asked.passes)
    kinds = [len({answer.generations[index] for answer in answers}) for index in range(len(asked.generations))]
    distinct = sum(kinds) / len(kinds) if kinds else 1.0
    share = (distinct - 1) / (len(edits) - 1) if kinds else operations.DISTINCT_SHARE
    entry = entries(run.toy)[name] | {"dtype": loaded.dtype}
    shape = shape_of(entry)
    work = operations.engine_work(
        shape, asked_from(asked, rows, True), edits[0][0].layer, [one[0] for one in edits], share
    )
    found = {
        "layer": edits[0][0].layer,
        "preparing_seconds": sum(preparing),
        "seconds": seconds,
        "evaluations": rows * len(edits),
        "evaluations_per_s": rows * len(edits) / seconds,
        "TFLOP": (work.native + work.single) / TERA,
        "TFLOP_s": (work.native + work.single) / seconds / TERA,
        "distinct_continuations": distinct,
        "finite": all(math.isfinite(x) for answer in answers for one in answer.passes for x in one.logprobs),
    }
    if run.cuda:
        found["model_GB"] = before / GIGA
        found["peak_GB_above_model"] = (torch.cuda.max_memory_allocated() - before) / GIGA
        found["reserved_GB"] = torch.cuda.max_memory_reserved() / GIGA
        above = shape.layers - edits[0][0].layer if asked.generations else 1
        found["estimated_GB_above_model"] = estimated_gb(entry, budget, above)
    return found, answers


def estimated_gb(entry: dict[str, Any], budget: int, above: int) -> float:
    """Return what the cluster's requests count beside the weights, before their slack."""
    from laser.cost.requests import working_mb

    return working_mb(shape_of(entry), budget, above, slack=1.0) / 1000


def kernels(run: Run, loaded: LoadedModel, asked: Requests, edits: Any, store: Any, budget: int) -> dict[str, Any]:
    """Return the GPU's busy share of a run and its longest kernels."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as record:
        start = time.perf_counter()
        list(fast.evaluate(loaded, asked, edits, store, budget, drafts=[()] * len(asked.generations)))
        synchronize(run.device)
        seconds = time.perf_counter() - start
    times = sorted(
        ((one.self_device_time_total / 1e6, one.key) for one in record.key_averages() if one.self_device_time_total),
        reverse=True,
    )
    gpu = [(spent, key) for spent, key in times if not key.startswith(("aten::", "cuda", "autograd"))]
    return {
        "seconds": seconds,
        "busy_seconds": sum(spent for spent, _ in gpu),
        "longest": {key[:90]: round(spent, 4) for spent, key in gpu[:14]},
    }


def gptj(run: Run, found: dict[str, Any]) -> None:
    """GPT-J's shape in fp16, next token alone: whole layers under exact and randomised edits."""
    dtype = "fp16" if run.cuda else "fp32"
    loaded = random_model(run, "gptj", dtype)
    last = loaded.config["n_layer"] - 1
    rows, budget = (12, 512) if run.toy else (800, 16384)
    asked = made_requests(rows, 0, loaded.config["vocab_size"])
    with tempfile.TemporaryDirectory() as folder:
        store = FactorStore(Path(folder))
        for layer in (last // 2, last):
            edits = layer_edits(("u_in", "u_out"), layer, ("svd",))
            start = time.perf_counter()
            for matrix in ("u_in", "u_out"):
                store.get(dict(fast.network(loaded.model).blocks[layer].linears)[matrix].weight)  # type: ignore[union-attr]
            prepared = time.perf_counter() - start
            entry, _ = layer_job(run, loaded, "gptj", asked, edits, store, budget)
            found[f"layer {layer}, exact"] = {"factors_seconds": prepared} | entry
            run.write()
        randomised = layer_edits(("u_in", "u_out"), last // 2, ("randomised",))
        found[f"layer {last // 2}, randomised"], _ = layer_job(run, loaded, "gptj", asked, randomised, store, budget)
        run.write()
        few, some = Requests(asked.passes[:24]), [edits[0], edits[5], edits[9], edits[14]]
        plain = naive.evaluate(loaded, few, some, store, 2048)
        found["engine_against_plain"] = gaps(plain, fast.evaluate(loaded, few, some, store, budget))
        if run.cuda:
            part = Requests(asked.passes[:200])
            found["kernels"] = kernels(
                run, loaded, part, layer_edits(("u_in", "u_out"), last // 2, ("svd",)), store, budget
            )
    best = found[f"layer {last // 2}, exact"]
    best["share_of_large_product"] = best["TFLOP_s"] / run.kept["rates"][dtype]
    run.kept["gptj"] = best["TFLOP_s"]


def llama(run: Run, found: dict[str, Any]) -> None:
    """Llama's shape in fp32 with ten new tokens: fp32 products, then split ones; drafts; out of memory."""
    loaded = random_model(run, "llama", "fp32")
    layer = loaded.config["num_hidden_layers"] // 2 - 1
    rows, budget, large = (8, 512, 2048) if run.toy else (192, 16384, 65536)
    asked = made_requests(rows, 10, loaded.config["vocab_size"])
    few = Requests(asked.passes[: rows // 4], asked.generations[: rows // 4])
    none: list[tuple[int, ...]] = [()] * len(asked.generations)
    edits = layer_edits(("u_gate", "u_out"), layer, ("svd",))
    some = [edits[0], edits[4], edits[9], edits[13]]
    with tempfile.TemporaryDirectory() as folder:
        store = FactorStore(Path(folder))
        for matrix in ("u_gate", "u_out"):
            store.get(dict(fast.network(loaded.model).blocks[layer].linears)[matrix].weight)  # type: ignore[union-attr]

        def measure(name: str, wanted: Requests, tokens: int, drafts: Any = None) -> list[Answers]:
            found[name], answers = layer_job(run, loaded, "llama", wanted, edits, store, tokens, drafts)
            run.write()
            return answers

        expected = measure("fp32, a quarter of the rows", few, budget, none[: rows // 4])
        found["converted"] = use_split_products(loaded.model)
        split = measure("fp32-split, a quarter of the rows", few, budget, none[: rows // 4])
        found["split_against_fp32"] = gaps(expected, split)
        plain = naive.evaluate(loaded, few, some, store, 2048)
        found["engine_against_plain, both split"] = gaps(plain, [split[edits.index(one)] for one in some])
        found["speedup"] = (
            found["fp32, a quarter of the rows"]["seconds"] / found["fp32-split, a quarter of the rows"]["seconds"]
        )
        measure("fp32-split", asked, budget, none)
        answers = measure("fp32-split, four times the token budget", asked, large, none)
        drafted = measure("fp32-split, four times the token budget, drafts", asked, large)
        found["drafts_against_none"] = gaps(answers, drafted)
        best = found["fp32-split, four times the token budget"]
        best["share_of_large_split_product"] = best["TFLOP_s"] / run.kept["rates"]["fp32-split"]
        run.kept["llama"] = best["TFLOP_s"]
        if run.cuda:
            found["out of memory"] = out_of_memory(run, loaded, few, edits, store, budget, split)
            run.write()
            found["kernels"] = kernels(run, loaded, few, edits, store, large)


def out_of_memory(
    run: Run, loaded: LoadedModel, asked: Requests, edits: Any, store: Any, budget: int, expected: list[Answers]
) -> dict[str, Any]:
    """Leave the engine too little memory for its batches, and see whether it answers all the same."""
    from laser.engine import batches

    failures: list[str] = []
    real = batches.is_lack_of_memory

    def noted(error: BaseException) -> bool:
        failures.append(f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
        return real(error)

    batches.is_lack_of_memory = noted
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    left = 3.0 * GIGA
    ballast = torch.empty(max(0, int(free - left)), dtype=torch.uint8, device=run.device)
    try:
        none = [()] * len(asked.generations)
        entry, answers = layer_job(run, loaded, "llama", asked, edits, store, budget, none)
    finally:
        batches.is_lack_of_memory = real
        del ballast
    return entry | {"left_GB": left / GIGA, "failures": len(failures), "first": failures[:3]} | gaps(expected, answers)


def hours(run: Run, found: dict[str, Any]) -> None:
    """Hours of the paper's sweeps at the measured rates: operations alone, both protocols, validation rows."""
    from laser.config.yaml_files import read_yaml
    from laser.cost.inputs import stated
    from laser.paper.published import read_published

    root = Path(__file__).resolve().parents[1]
    facts = read_yaml(root / "config/cost.yaml")
    for name, entry in entries(False).items():
        if name not in run.kept:
            continue
        shape = shape_of(entry)
        matrices = ("u_gate" if shape.gated else "u_in", "u_out")
        total = 0.0
        for dataset, builder in DATASETS.items():
            size = (read_published().sizes(dataset) or {})["size"]
            counts = {"validation": size // 5, "test": size - size // 5}
            asked = stated(builder, "causal", entry["architecture"], counts, facts)["validation"]
            for layer in range(shape.layers):
                edits = [one[0] for one in layer_edits(matrices, layer, ("svd", "randomised"))]
                work = operations.engine_work(shape, asked, layer, edits)
                total += work.native + work.single
        found[name] = {"PFLOP": total / 1e15, "TFLOP_s": run.kept[name]}
        if not run.toy:
            found[name]["hours"] = total / TERA / run.kept[name] / 3600


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
