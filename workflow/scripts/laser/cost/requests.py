"""Resources that a job requests: memory, GPU and run time, from the model's size and the job's work.

All numbers are estimates, and none shapes a result. docs/cluster.md says how a site names its GPUs, and how to override
a number. Memory and run time grow with every attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from laser.config.plan import Plan
from laser.config.pools import shape
from laser.cost.demand import Demand, decodes, demand_of
from laser.cost.shapes import LARGEST, Shape, guessed_shape
from laser.cost.time import Device, gpu_device
from laser.errors import UserError

MEGABYTE = 1e6
PROCESS_MB = 1500
"""Host memory of Python, torch, transformers and the rows."""
CUDA_HOST_MB = 2000
"""Further host memory for CUDA's libraries."""
LOADED_AT_ONCE = 4
"""Weights on their way from a checkpoint's file to a GPU at one time: the threads that transformers reads with."""
GPU_JOB_CPUS = 8
"""CPUs of a GPU job. One thread computes; the others read checkpoints, and decompose what the GPU's drivers cannot."""
CUDA_CONTEXT_MB = 1000
"""GPU memory that CUDA uses before the first tensor."""
SLACK = 2.0
"""Memory that a batch was found to take divided by what is counted below, on a CPU, where its tokens bound a batch."""
GPU_SLACK = 1.1
"""The same on a GPU, where the slots of its keys and values bound a batch. Full batches took 0.87 to
0.99 of what is counted (docs/gpu.md); the rest is for gaps between blocks."""
USABLE = 0.95
"""Share of a GPU's memory that a job can use."""
GPU_TFLOPS = {"fp32": 19.5, "fp16": 312.0}
"""Peaks of the GPU that is assumed if the table of GPUs names none: an A100, as in docs/cost.md."""
GPU_SHARE = 0.35
CPU_FLOPS = 25e9
"""Operations per second of one CPU thread."""
READ_BYTES = 3e8
"""Bytes per second at which a checkpoint comes from shared storage while other jobs read too."""
CLUSTER_START_SECONDS = 120
"""Seconds that starting a cluster's job takes: Snakemake starts three times before it, each time with many imports."""
SAFETY = 2.0
SHORTEST_MINUTES = 30


def _weights_mb(shape: Shape) -> float:
    return shape.weight_bytes / MEGABYTE


def _matrix_mb(shape: Shape) -> float:
    """Return the size in MB of the largest matrix that is edited."""
    outputs, inputs = shape.matrix(LARGEST)
    return outputs * inputs * shape.width / MEGABYTE


def _factors_mb(shape: Shape) -> float:
    """Return the size in MB of the fp32 factors of that matrix."""
    return shape.factor_bytes(LARGEST) / MEGABYTE


def _rough_head_mb(shape: Shape) -> float:
    """Return the size in MB of the head in bf16, from which rough logits are made (`laser.engine.screen`)."""
    return 0 if shape.masked else 2 * shape.vocabulary * shape.hidden / MEGABYTE


def working_mb(shape: Shape, token_budget: int, above: int | None = None, slack: float = SLACK) -> float:
    """Return the memory in MB of evaluating one batch besides the weights (docs/engine.md, memory above the model).

    It holds the states and MLP activations of `token_budget` tokens, their keys and values, the factors of the two
    edited matrices, and the logits. If memory runs out, the engine halves its batches: less is slower, but no failure.

    Args:
        shape: the model.
        token_budget: the study's token budget.
        above: number of layers whose keys and values are kept at once; None for all layers of a causal model.
        slack: factor by which the count is multiplied.
    """
    states = (6 * shape.hidden + 3 * shape.intermediate) * shape.width
    layers = (0 if shape.masked else shape.layers) if above is None else above
    kept = layers * shape.key_value_bytes
    return slack * (token_budget * (states + kept) / MEGABYTE + 2 * _factors_mb(shape) + 128)


def _largest_weight_mb(shape: Shape) -> float:
    """Return the size in MB of the model's largest weight in fp32: an edited matrix or the embeddings."""
    outputs, inputs = shape.matrix(LARGEST)
    return 4 * max(outputs * inputs, shape.vocabulary * shape.hidden) / MEGABYTE


def memory_mb(shape: Shape, demand: Demand, token_budget: int, device: str, attempt: int = 1) -> int:
    """Return the host memory in MB that a job requests. Weights go straight to a GPU (`laser.models.load`)."""
    held = demand.dense * _matrix_mb(shape) + 3 * _factors_mb(shape)
    if device == "cpu":
        held += demand.copies * 1.1 * _weights_mb(shape)
        held += working_mb(shape, token_budget) + _rough_head_mb(shape) if demand.evaluates else 0
    else:
        held += CUDA_HOST_MB + (LOADED_AT_ONCE * _largest_weight_mb(shape) if demand.copies else 0)
    return attempt * ceil(PROCESS_MB + held)


def gpu_memory_mb(shape: Shape, demand: Demand, token_budget: int, attempt: int = 1, above: int | None = None) -> int:
    """Return the GPU memory in MB that a job should have; its working memory, not its weights, grows by attempt."""
    working = working_mb(shape, token_budget, above, GPU_SLACK) if demand.evaluates else 6 * _factors_mb(shape)
    dense = demand.dense * _matrix_mb(shape)
    return ceil(CUDA_CONTEXT_MB + demand.copies * _weights_mb(shape) + dense + attempt * working)


def layers_above(plan: Plan, shape: Shape, wildcards: Mapping[str, str]) -> int | None:
    """Return how many layers' keys and values a job keeps at once; None if unknown.

    If tokens are decoded, the edited layer and those above it; otherwise one at a time.
    """
    datasets = [wildcards["dataset"]] if "dataset" in wildcards else plan.together
    if not datasets:
        return None
    if not any(decodes(plan, wildcards["model"], dataset) for dataset in datasets):
        return 1
    return shape.layers - int(wildcards.get("layer", 0))


def gpu_floor_mb(shape: Shape, demand: Demand) -> int:
    """Return the GPU memory in MB without which a job cannot run, however small its batches are."""
    return ceil(CUDA_CONTEXT_MB + demand.copies * _weights_mb(shape) + 4 * _factors_mb(shape))


def choose_gpu(table: list[dict[str, Any]], wanted_mb: int, floor_mb: int, what: str) -> dict[str, Any] | None:
    """Return the entry of the smallest GPU that has the wanted memory; None where the site's table is empty.

    If none has that much, the largest is requested: the engine then works in smaller batches.

    Args:
        table: config key `gpus`.
        wanted_mb: `gpu_memory_mb`.
        floor_mb: `gpu_floor_mb`.
        what: the job, for the message.

    Raises:
        UserError: not even the weights fit the largest GPU.
    """
    if not table:
        return None
    ordered = sorted(table, key=lambda entry: entry["memory_gb"])
    for entry in ordered:
        if entry["memory_gb"] * 1000 * USABLE >= wanted_mb:
            return entry
    if ordered[-1]["memory_gb"] * 1000 * USABLE >= floor_mb:
        return ordered[-1]
    raise UserError(
        f"config key 'gpus': {what} needs at least {floor_mb / 1000:.0f} GB of GPU memory, but the largest GPU there "
        f"has {ordered[-1]['memory_gb']:g} GB. Add a larger one, give the model a dtype of half the size (fp16 or "
        "bf16), take it out of the study, or set device to cpu."
    )


def run_minutes(
    shape: Shape, demand: Demand, device: str, threads: int, gpu: Mapping[str, Any] | None = None, attempt: int = 1
) -> int:
    """Return the run time in minutes that a job requests, rounded up to tens: twice the expected time.

    `longest_hours` in the GPU's entry, which its partition allows, is the upper bound.
    """
    seconds = CLUSTER_START_SECONDS + expected_seconds(shape, demand, device, threads, gpu)
    minutes = max(SHORTEST_MINUTES, 10 * ceil(SAFETY * seconds / 600)) * attempt
    bound = (gpu or {}).get("longest_hours")
    return min(minutes, int(bound * 60)) if bound else minutes


def expected_seconds(
    shape: Shape,
    demand: Demand,
    device: str,
    threads: int,
    gpu: Mapping[str, Any] | None = None,
    thread_flops: float = CPU_FLOPS,
) -> float:
    """Return the time in seconds that a job is expected to take, without its start."""
    read = demand.copies * shape.bytes / READ_BYTES
    return read + _speed(device, threads, gpu, thread_flops).seconds(demand.work, shape.width)


BEFORE_SELECTION = ("base", "sweep", "race")
"""Stages whose files the selection reads; the test waits for the selection."""


def urgency(plan: Plan, stage: str, wildcards: Mapping[str, str]) -> float:
    """Return the priority of a job: the seconds from its start until its model is tested, on the longest path.

    Long jobs that start last leave all other cores idle, so they start first, after the jobs that they wait for.
    """
    model = wildcards["model"]
    shape = guessed_shape(plan.model(model))

    def seconds(of: str, names: Mapping[str, str]) -> float:
        return expected_seconds(shape, demand_of(plan, of, names), plan.config["device"], plan.config["threads"])

    def from_start(of: str, names: Mapping[str, str]) -> float:
        if of == "reduce":
            sweeps: list[tuple[str, Mapping[str, str]]] = [
                ("sweep", {**names, "dataset": dataset}) for dataset in plan.alone
            ]
            if plan.together:
                sweeps.append(("sweep_together", names))
            return seconds(of, names) + max(from_start(*sweep) for sweep in sweeps)
        if of == "sweep_together":
            tests = [seconds("test_intervention", {**names, "dataset": dataset}) for dataset in plan.together]
            return seconds(of, names) + max(tests)
        if of == "select_intervention":
            return seconds("test_intervention", names)
        if of in BEFORE_SELECTION:
            return seconds(of, names) + seconds("test_intervention", names)
        return seconds(of, names)

    return from_start(stage, wildcards)


def _speed(device: str, threads: int, gpu: Mapping[str, Any] | None, thread_flops: float) -> Device:
    """Return the speed of the job's device, as far as the site has stated it."""
    if device == "cpu":
        peak = thread_flops * threads
        return Device("CPU", peak, peak, None, efficiency=1.0, decomposition=1.0, randomised=peak)
    peaks = {name: (gpu or {}).get(f"{name}_tflops", GPU_TFLOPS[name]) * 1e12 for name in GPU_TFLOPS}
    return gpu_device("GPU", peaks["fp16"], peaks["fp32"], None, GPU_SHARE)


@dataclass(frozen=True)
class Request:
    """The resources of one job. `gpu` is its entry in the table of GPUs, None without a GPU or a table."""

    mem_mb: int
    runtime: int
    gpu_memory_mb: int
    gpu: Mapping[str, Any] | None


def request(plan: Plan, stage: str, wildcards: Mapping[str, str], attempt: int = 1) -> Request:
    """Return the resources that a job of one stage requests.

    Args:
        plan: the study.
        stage: a rule's name (`laser.cost.demand.STAGES`).
        wildcards: model, and as far as the stage has them dataset, layer, rho.
        attempt: counted from 1.

    Raises:
        UserError: no GPU of the site can hold the model.
    """
    model = wildcards["model"]
    shape, demand = guessed_shape(plan.model(model)), demand_of(plan, stage, wildcards)
    device, budget = plan.config["device"], plan.study["token_budget"]
    memory = memory_mb(shape, demand, budget, device, attempt)
    chosen, on_gpu = None, 0
    if device != "cpu":
        on_gpu = gpu_memory_mb(shape, demand, budget, attempt, layers_above(plan, shape, wildcards))
        what = f"the rule '{stage}' on the model '{model}'"
        chosen = choose_gpu(plan.config.get("gpus", []), on_gpu, gpu_floor_mb(shape, demand), what)
    minutes = run_minutes(shape, demand, device, plan.config["threads"], chosen, attempt)
    return Request(memory, minutes, on_gpu, chosen)


def resource_functions(plan: Plan, stage: str) -> dict[str, Any]:
    """Return the resources of a rule: numbers, or functions of (wildcards, attempt), by Snakemake's names.

    The names are those that the SLURM executor reads (gpu, gpu_model, constraint, slurm_partition); the last three are
    given only if the table of GPUs has them, so that a profile's default-resources apply otherwise. `gpu_memory_mb` is
    for the reader, and for profiles that choose by it.
    """

    @cache
    def asked(attempt: int, **wildcards: str) -> Request:
        return request(plan, stage, wildcards, attempt)

    def named(read: Callable[[Request], Any]) -> Callable[..., Any]:
        return lambda wildcards, attempt: read(asked(attempt, **dict(wildcards.items())))

    def of_gpu(key: str) -> Callable[..., Any]:
        return named(lambda asked_for: (asked_for.gpu or {}).get(key))

    resources: dict[str, Any] = {
        "mem_mb": named(lambda asked_for: asked_for.mem_mb),
        "runtime": named(lambda asked_for: asked_for.runtime),
    }
    if plan.config["device"] == "cpu":
        return resources | {"gpu": 0}
    resources |= {"gpu": 1, "gpu_memory_mb": named(lambda asked_for: asked_for.gpu_memory_mb)}
    resources["cpus_per_task"] = max(GPU_JOB_CPUS, plan.config["threads"])
    for key, name in {"gpu_model": "gpu_model", "constraint": "constraint", "partition": "slurm_partition"}.items():
        if any(key in entry for entry in plan.config.get("gpus", [])):
            resources[name] = of_gpu(key)
    return resources


def check_gpus(plan: Plan) -> None:
    """Refuse a table of GPUs that cannot serve the study, before any job is planned.

    Raises:
        UserError: an entry lacks its partition where others have one, or a model of the study fits no GPU.
    """
    table = plan.config.get("gpus", [])
    if any("partition" in entry for entry in table) and not all("partition" in entry for entry in table):
        raise UserError(
            "config key 'gpus': some entries have a partition and some do not. Give every entry one, or none and set "
            "slurm_partition in the profile."
        )
    for model, dataset in plan.cells():
        request(plan, "sweep", {"model": model, "dataset": dataset, "layer": str(plan.layers(model)[0])})


def training_memory_mb(plan: Plan, model: str) -> int:
    """Return the memory in MB for training a policy: all steps of its pool's episodes, about 40 per episode."""
    pool = plan.model(model)["source"]["pool"]
    rows, columns = shape(pool)
    return ceil(PROCESS_MB + 1500 + 40 * 2 * (rows * columns + 28) * pool.get("count", 0) / MEGABYTE)


def fetch_memory_mb(entry: dict[str, Any]) -> int:
    """Return the memory in MB for fetching a checkpoint: a conversion holds it twice, before and after."""
    return ceil(PROCESS_MB + 2.6 * _weights_mb(guessed_shape(entry)))
