"""Large models of the GPU benchmark: whole layers of GPT-J's and Llama's shapes, random weights, the paper's hours."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers

from benchmarks.gpu_run import GIGA, TERA, Run, gaps, synchronize
from laser.cost import operations
from laser.cost.shapes import shape_of
from laser.engine import fast, naive
from laser.engine.products import use_split_products
from laser.models.device import DTYPES
from laser.models.load import LoadedModel
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Answers, Generation, Pass, Requests

GRID = (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005)
DATASETS = {
    "counterfact": "counterfact", "hotpot": "hotpotqa", "fever": "fever", "bios_gender": "bios_gender",
    "bios_profession": "bios_profession", "truthfulqa": "truthfulqa", "epistemic_reasoning": "epistemic_reasoning",
    "qa_wikidata": "qa_wikidata",
}  # fmt: skip
"""The paper's datasets and their builders, as in config/datasets.yaml."""
PROMPT_LENGTHS = (8, 23, 23)
"""Approximate number of tokens of CounterFact's base prompts and paraphrases."""


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
    budget: int,
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
        answers = list(fast.evaluate(loaded, asked, edits, store, budget))
    finally:
        fast.changes = real
    synchronize(run.device)
    seconds = time.perf_counter() - start - sum(preparing)
    rows = len(asked.passes)
    kinds = [len({answer.generations[index] for answer in answers}) for index in range(len(asked.generations))]
    distinct = sum(kinds) / len(kinds) if kinds else 1.0
    share = (distinct - 1) / (len(edits) - 1) if kinds else None
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
    """Return the memory that cluster requests count besides the weights, before slack, in GB."""
    from laser.cost.requests import working_mb

    return working_mb(shape_of(entry), budget, above, slack=1.0) / 1000


def kernels(run: Run, loaded: LoadedModel, asked: Requests, edits: Any, store: Any, budget: int) -> dict[str, Any]:
    """Return the GPU's busy share of a run and its longest kernels."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as record:
        start = time.perf_counter()
        list(fast.evaluate(loaded, asked, edits, store, budget))
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
    """GPT-J's shape in fp16, next token only: whole layers under exact and randomised edits."""
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
    """Llama's shape in fp32 with ten new tokens: fp32 products, then split ones; out of memory."""
    loaded = random_model(run, "llama", "fp32")
    layer = loaded.config["num_hidden_layers"] // 2 - 1
    rows, budget, large = (8, 512, 2048) if run.toy else (192, 16384, 65536)
    asked = made_requests(rows, 10, loaded.config["vocab_size"])
    few = Requests(asked.passes[: rows // 4], asked.generations[: rows // 4])
    edits = layer_edits(("u_gate", "u_out"), layer, ("svd",))
    some = [edits[0], edits[4], edits[9], edits[13]]
    with tempfile.TemporaryDirectory() as folder:
        store = FactorStore(Path(folder))
        for matrix in ("u_gate", "u_out"):
            store.get(dict(fast.network(loaded.model).blocks[layer].linears)[matrix].weight)  # type: ignore[union-attr]

        def measure(name: str, wanted: Requests, tokens: int) -> list[Answers]:
            found[name], answers = layer_job(run, loaded, "llama", wanted, edits, store, tokens)
            run.write()
            return answers

        expected = measure("fp32, a quarter of the rows", few, budget)
        found["converted"] = use_split_products(loaded.model)
        split = measure("fp32-split, a quarter of the rows", few, budget)
        found["split_against_fp32"] = gaps(expected, split)
        plain = naive.evaluate(loaded, few, some, store, 2048)
        found["engine_against_plain, both split"] = gaps(plain, [split[edits.index(one)] for one in some])
        found["speedup"] = (
            found["fp32, a quarter of the rows"]["seconds"] / found["fp32-split, a quarter of the rows"]["seconds"]
        )
        measure("fp32-split", asked, budget)
        measure("fp32-split, four times the token budget", asked, large)
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
    """Leave the engine too little memory for its batches, and see whether it still answers."""
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
    """Hours of the paper's sweeps at the measured rates: operations only, both protocols, validation rows."""
    from laser.cost.inputs import stated
    from laser.paper.published import read_published

    for name, entry in entries(False).items():
        if name not in run.kept:
            continue
        shape = shape_of(entry)
        matrices = ("u_gate" if shape.gated else "u_in", "u_out")
        total = 0.0
        for dataset, builder in DATASETS.items():
            size = (read_published().sizes(dataset) or {})["size"]
            counts = {"validation": size // 5, "test": size - size // 5}
            asked = stated(builder, "causal", entry["architecture"], counts)["validation"]
            for layer in range(shape.layers):
                edits = [one[0] for one in layer_edits(matrices, layer, ("svd", "randomised"))]
                work = operations.engine_work(shape, asked, layer, edits)
                total += work.native + work.single
        found[name] = {"PFLOP": total / 1e15, "TFLOP_s": run.kept[name]}
        if not run.toy:
            found[name]["hours"] = total / TERA / run.kept[name] / 3600
