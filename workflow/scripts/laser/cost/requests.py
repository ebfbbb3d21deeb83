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

from laser.config.evaluations import is_masked
from laser.config.plan import BYTES, Plan
from laser.config.pools import shape
from laser.cost.operations import GPU_DECOMPOSITION, GPU_RANDOMISED, Work, decodes, work_of
from laser.errors import UserError

MEGABYTE = 1e6
PROCESS_MB = 1500
"""Python, torch, transformers and the rows."""
CUDA_HOST_MB = 2000
"""Further memory of the host for CUDA's libraries."""
CUDA_CONTEXT_MB = 1000
"""GPU memory that CUDA uses before the first tensor."""
SLACK = 2.0
"""What a batch was found to take over what is counted below, on a CPU, where a batch is bounded by its tokens."""
GPU_SLACK = 1.1
"""The same on a GPU, where a batch is bounded by the slots of its keys and values. Full batches took 0.87 to
0.99 of what is counted (docs/gpu.md); the rest is for gaps between blocks."""
USABLE = 0.95
"""Part of a GPU's memory that a job can have."""
SMALLEST_PARAMETERS = 200_000_000
"""Assumed if an entry does not give its size."""
GPU_TFLOPS = {"fp32": 19.5, "fp16": 312.0}
"""Peaks of the GPU that is assumed where the table of GPUs names none: an A100, as in docs/cost.md."""
GPU_SHARE = 0.35
CPU_FLOPS = 25e9
"""Operations per second of one CPU thread."""
READ_BYTES = 3e8
"""Bytes per second at which a checkpoint comes from shared storage while other jobs read too."""
START_SECONDS = 120
"""Snakemake starts three times before a job's script does, and each start imports a good deal."""
SAFETY = 2.0
SHORTEST_MINUTES = 30


@dataclass(frozen=True)
class Shape:
    """What a job's memory depends on.

    Attributes:
        parameters, layers, hidden, intermediate, key_value: as in the model's entry, or guessed from what it has.
        width: bytes of a weight in the model's dtype.
        causal: True if keys and values are kept for decoding.
    """

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    key_value: int
    width: int
    causal: bool

    @property
    def weights_mb(self) -> float:
        """The weights in the model's dtype."""
        return self.parameters * self.width / MEGABYTE

    @property
    def matrix(self) -> int:
        """Entries of the largest matrix that is decomposed."""
        return self.hidden * self.intermediate

    @property
    def factors_mb(self) -> float:
        """The fp32 factors of the largest matrix."""
        return 4 * self.hidden * (self.hidden + self.intermediate + 1) / MEGABYTE


def shape_of(entry: dict[str, Any]) -> Shape:
    """Return the shape of a model's entry; missing values are guessed from the others."""
    layers = entry["layers"]
    trained = entry["source"] if entry["source"]["kind"] == "trained" else {}
    hidden = entry.get("hidden") or trained.get("hidden")
    parameters = entry.get("parameters")
    if parameters is None:
        words = entry.get("vocabulary", 50_000)
        parameters = SMALLEST_PARAMETERS if hidden is None else 12 * layers * hidden**2 + 2 * words * hidden
    if hidden is None:
        hidden = int((parameters / (12 * layers)) ** 0.5) + 1
    heads = entry.get("heads") or 1
    return Shape(
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        intermediate=entry.get("intermediate") or trained.get("intermediate") or 4 * hidden,
        key_value=hidden * entry.get("key_value_heads", heads) // heads,
        width=BYTES[entry["dtype"]],
        causal=not is_masked(entry),
    )


def working_mb(shape: Shape, token_budget: int, above: int | None = None, slack: float = SLACK) -> float:
    """Return what evaluating one batch takes beside the weights, in MB (docs/engine.md, memory above the model).

    States and the MLP's activations of `token_budget` tokens, their keys and values, the factors of the two edited
    matrices, and the logits. On out-of-memory the engine halves its batches, so that less is slower and not an end.

    Args:
        shape: the model.
        token_budget: of the study.
        above: layers whose keys and values are kept at once; None for all of a causal model's.
        slack: what this is multiplied by.
    """
    states = (6 * shape.hidden + 3 * shape.intermediate) * shape.width
    layers = (shape.layers if shape.causal else 0) if above is None else above
    kept = 2 * layers * shape.key_value * shape.width
    return slack * (token_budget * (states + kept) / MEGABYTE + 2 * shape.factors_mb + 128)


def memory_mb(shape: Shape, work: Work, token_budget: int, device: str, attempt: int = 1) -> int:
    """Return the host memory in MB that a job requests."""
    held = work.copies * 1.1 * shape.weights_mb + work.dense * shape.matrix * shape.width / MEGABYTE
    held += 3 * shape.factors_mb
    if device == "cpu":
        held += working_mb(shape, token_budget) if work.evaluates else 0
    else:
        held += CUDA_HOST_MB
    return attempt * ceil(PROCESS_MB + held)


def gpu_memory_mb(shape: Shape, work: Work, token_budget: int, attempt: int = 1, above: int | None = None) -> int:
    """Return the GPU memory in MB that a job should have; what it works with, not its weights, grows by attempt."""
    working = working_mb(shape, token_budget, above, GPU_SLACK) if work.evaluates else 6 * shape.factors_mb
    dense = work.dense * shape.matrix * shape.width / MEGABYTE
    return ceil(CUDA_CONTEXT_MB + work.copies * shape.weights_mb + dense + attempt * working)


def layers_above(plan: Plan, shape: Shape, wildcards: Mapping[str, str]) -> int | None:
    """Return how many layers' keys and values a job keeps at once; None if unknown.

    Those from the edited layer on, where tokens are decoded; one at a time where none are.
    """
    if "dataset" not in wildcards:
        return None
    if not decodes(plan, wildcards["model"], wildcards["dataset"]):
        return 1
    return shape.layers - int(wildcards.get("layer", 0))


def gpu_floor_mb(shape: Shape, work: Work) -> int:
    """Return the GPU memory in MB without which a job cannot run, however small its batches are."""
    return ceil(CUDA_CONTEXT_MB + work.copies * shape.weights_mb + 4 * shape.factors_mb)


def choose_gpu(table: list[dict[str, Any]], wanted_mb: int, floor_mb: int, what: str) -> dict[str, Any] | None:
    """Return the entry of the smallest GPU that has the wanted memory; None where the site's table is empty.

    If none has as much, the largest is requested: the engine then works in smaller batches.

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
    shape: Shape, work: Work, device: str, threads: int, gpu: Mapping[str, Any] | None = None, attempt: int = 1
) -> int:
    """Return the run time in minutes that a job requests, rounded up to tens: twice the expected time.

    `longest_hours` of the GPU's entry is a bound: what its partition allows.
    """
    seconds = START_SECONDS + expected_seconds(shape, work, device, threads, gpu)
    minutes = max(SHORTEST_MINUTES, 10 * ceil(SAFETY * seconds / 600)) * attempt
    bound = (gpu or {}).get("longest_hours")
    return min(minutes, int(bound * 60)) if bound else minutes


def expected_seconds(
    shape: Shape, work: Work, device: str, threads: int, gpu: Mapping[str, Any] | None = None
) -> float:
    """Return the time in seconds that a job is expected to take, without its start."""
    single, native = _speeds(shape, device, threads, gpu)
    host = CPU_FLOPS * threads
    seconds = work.copies * shape.parameters * 4 / READ_BYTES
    seconds += work.tokens * 2.0 * shape.parameters / native
    decomposition = 8.0 * shape.matrix * shape.hidden + 20.0 * shape.hidden**3
    peak = 0.0 if device == "cpu" else single / GPU_SHARE
    seconds += work.decompositions * decomposition / max(host, peak * GPU_DECOMPOSITION)
    return seconds + work.randomised * shape.matrix * shape.hidden / max(host, peak * GPU_RANDOMISED)


def urgency(plan: Plan, stage: str, wildcards: Mapping[str, str]) -> float:
    """Return the priority of a job that reduces or sweeps a layer: the seconds until the layer is swept everywhere.

    Long jobs that start last leave all other cores idle, so they start first, and their inputs before them.
    """
    model = wildcards["model"]
    shape = shape_of(plan.model(model))

    def seconds(of: str, names: Mapping[str, str]) -> float:
        return expected_seconds(shape, work_of(plan, of, names), plan.config["device"], plan.config["threads"])

    if stage != "reduce":
        return seconds(stage, wildcards)
    sweeps = (seconds("sweep", {**wildcards, "dataset": dataset}) for dataset in plan.datasets)
    return seconds("reduce", wildcards) + max(sweeps)


def _speeds(shape: Shape, device: str, threads: int, gpu: Mapping[str, Any] | None) -> tuple[float, float]:
    """Return operations per second in fp32 and in the model's dtype."""
    if device == "cpu":
        return CPU_FLOPS * threads, CPU_FLOPS * threads
    peaks = {name: (gpu or {}).get(f"{name}_tflops", GPU_TFLOPS[name]) * 1e12 * GPU_SHARE for name in GPU_TFLOPS}
    return peaks["fp32"], peaks["fp16" if shape.width == 2 else "fp32"]


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
        stage: a rule's name (`laser.cost.operations.STAGES`).
        wildcards: model, and as far as the stage has them dataset, layer, rho.
        attempt: counted from 1.

    Raises:
        UserError: no GPU of the site can hold the model.
    """
    model = wildcards["model"]
    shape, work = shape_of(plan.model(model)), work_of(plan, stage, wildcards)
    device, budget = plan.config["device"], plan.study["token_budget"]
    memory = memory_mb(shape, work, budget, device, attempt)
    chosen, on_gpu = None, 0
    if device != "cpu":
        on_gpu = gpu_memory_mb(shape, work, budget, attempt, layers_above(plan, shape, wildcards))
        what = f"the rule '{stage}' on the model '{model}'"
        chosen = choose_gpu(plan.config.get("gpus", []), on_gpu, gpu_floor_mb(shape, work), what)
    minutes = run_minutes(shape, work, device, plan.config["threads"], chosen, attempt)
    return Request(memory, minutes, on_gpu, chosen)


def resource_functions(plan: Plan, stage: str) -> dict[str, Any]:
    """Return the resources of a rule: numbers, or functions of (wildcards, attempt), by Snakemake's names.

    The names are those that the SLURM executor reads (gpu, gpu_model, constraint, slurm_partition); the last three only
    where the table of GPUs has them, so that a profile's default-resources hold otherwise. `gpu_memory_mb` is for the
    reader, and for profiles that choose by it.
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
    """Return the memory in MB for training a policy: all steps of its pool's episodes, some 40 of each."""
    pool = plan.model(model)["source"]["pool"]
    rows, columns = shape(pool)
    return ceil(PROCESS_MB + 1500 + 40 * 2 * (rows * columns + 28) * pool.get("count", 0) / MEGABYTE)


def fetch_memory_mb(entry: dict[str, Any]) -> int:
    """Return the memory in MB for fetching a checkpoint: conversions hold it once as it was and once as it will be."""
    return ceil(PROCESS_MB + 2.6 * shape_of(entry).weights_mb)
