"""The cost of a study, job by job: operations of each rule of the plan, and disk space of its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from laser.config.paths import rho_name
from laser.config.plan import Plan
from laser.config.protocols import interventions_kind
from laser.config.searches import GRADIENT, searches_by
from laser.cost.demand import STAGES, demand_of, layer_edits, low_rank_steps
from laser.cost.inputs import asked, beside_others, model_shape
from laser.cost.operations import Asked, Work, calls, evaluation_work, plain_work, randomised_work, reduce_work
from laser.cost.shapes import Shape
from laser.cost.time import LOAD_BYTES_PER_SECOND, Device
from laser.reduction.interventions import Intervention

BYTES_PER_ROW = 42
"""Bytes per row in the files of sweep, base and test: measured on the quickstart, docs/cost.md."""
STAGE_OF = {"landscape": "landscape", "composition": "compose_layers", "composed": "compose_test"}
"""Kind of file to the stage that makes it, unless that is evaluate_<kind>."""
WORK_PARTS = {
    "native": "products of the models",
    "single": "products of truncations, fp32",
    "decomposition": "exact decompositions",
    "randomised": "randomised decompositions",
}
"""Field of `Work` to its description for the reader."""

STARTING = "starting jobs"
"""What a job's time goes into before its own work."""


@dataclass(frozen=True)
class JobCost:
    """The cost of one job.

    Attributes:
        stage, model, dataset: which job it is (reduce has no dataset).
        work: operations.
        run: its file below <results>/runs.
        joins: True for a part of another dataset's job, which starts and loads the model (`sweep_together`).
    """

    stage: str
    model: str
    dataset: str
    work: Work
    run: Path
    joins: bool = False


@dataclass(frozen=True)
class CellCost:
    """The cost of one (model, dataset).

    Attributes:
        shape, sides: the model, and what is asked of it on each side.
        edits: number of evaluations of one example in the whole grid: different (matrix, layer, rho, kind).
        jobs: base, sweep, test and the study's further evaluations of the cell.
        plain: work of the same evaluations with the naive engine.
        released: work of every row under every edit and base, one sequence at a time, as in the released code.
        released_calls: number of model calls of that procedure.
        result_bytes: size of the rows that are written.
    """

    shape: Shape
    dataset: str
    sides: dict[str, Asked]
    edits: int
    jobs: list[JobCost]
    plain: Work
    released: Work
    released_calls: float
    result_bytes: float

    def stage(self, name: str) -> Work:
        """Return the work of one stage."""
        return sum((job.work for job in self.jobs if job.stage == name), Work())


@dataclass(frozen=True)
class ModelCost:
    """What the datasets of a study share: the decompositions of one model, and its files."""

    shape: Shape
    jobs: list[JobCost]
    factor_bytes: int


def job_seconds(job: JobCost, shape: Shape, device: Device) -> float:
    """Return the time of a job in seconds."""
    return sum(job_parts(job, shape, device).values())


def seconds_of_work(job: JobCost, shape: Shape, device: Device) -> float:
    """Return that time without the start of Python and its libraries, as runs/ have it."""
    return sum(seconds for part, seconds in job_parts(job, shape, device).items() if part != STARTING)


def job_parts(job: JobCost, shape: Shape, device: Device) -> dict[str, float]:
    """Return the time of a job in seconds, by what it is spent on."""
    read = 0 if job.stage == "reduce" or job.joins else shape.bytes
    start = 0.0 if job.joins else 0.5 if job.stage == "reduce" else 1.0
    return {
        STARTING: device.start * start,
        "reading checkpoints": read / LOAD_BYTES_PER_SECOND,
        **{
            part: device.seconds(Work(**{field: getattr(job.work, field)}), shape.width, shape.split)
            for field, part in WORK_PARTS.items()
        },
    }


def model_cost(plan: Plan, model: str) -> ModelCost:
    """Return the cost of decomposing a model's matrices; every job after a layer's first finds its factors."""
    shape = model_shape(plan, model)
    matrices = plan.study["grid"][model]["matrices"]
    jobs = []
    for layer in plan.layers(model):
        for number, (name, _) in enumerate(_rho_jobs(plan)):
            work = reduce_work(shape, matrices) if number == 0 else Work()
            jobs.append(JobCost("reduce", model, "", work, Path("reduce", model, f"layer{layer}{name}.json")))
    return ModelCost(shape, jobs, len(plan.layers(model)) * sum(shape.factor_bytes(matrix) for matrix in matrices))


def cell_cost(plan: Plan, model: str, dataset: str) -> CellCost:
    """Return the cost of one (model, dataset).

    The chosen interventions are unknown beforehand: the test is the mean over the grid's layers and matrices.
    """
    shape = model_shape(plan, model)
    sides = asked(plan, model, dataset)
    steps = low_rank_steps(plan, "masked" if shape.masked else "causal")
    layers, matrices, rhos = plan.layers(model), plan.study["grid"][model]["matrices"], plan.rhos
    last = shape.layers - 1
    folder = Path(model, dataset)

    def work(side: str, layer: int, edits: Sequence[Intervention | None]) -> Work:
        return evaluation_work(plan.study["engine"], shape, sides[side], layer, edits)

    swept = beside_others(plan, model, dataset, sides["validation"])

    jobs = [JobCost("base", model, dataset, work("validation", last, [None]), Path("base", f"{folder}.json"))]
    for layer in layers:
        for name, some in _rho_jobs(plan):
            edits = layer_edits(plan, model, layer, some)
            done = evaluation_work(plan.study["engine"], shape, swept, layer, edits)
            jobs.append(_sweep(plan, model, dataset, f"layer{layer}{name}.json", done))
    tested = Work()
    middle = rhos[len(rhos) // 2]
    for layer in layers:
        for matrix in matrices:
            for number, step in enumerate(steps):
                chosen = Intervention(matrix, layer, middle, **step)
                tested += work("test", layer, [None, chosen] if number == 0 else [chosen])
    mean = 1 / (len(layers) * len(matrices))
    jobs.append(JobCost("test", model, dataset, tested.times(mean), Path("test_intervention", f"{folder}.json")))

    grid = len(layers) * len(matrices) * len(rhos)
    count = grid * len(steps)
    plain = plain_work(shape, sides["validation"], count + 1) + plain_work(shape, sides["test"], 1 + len(steps))
    plain += sum((Work(randomised=job.work.randomised) for job in jobs), Work())
    published = interventions_kind("published", "masked" if shape.masked else "causal")
    made = [Intervention(matrix, 0, rho, **published) for matrix in matrices for rho in rhos]
    released = sum(
        (plain_work(shape, side, grid + 1) for side in sides.values()),
        randomised_work(shape, made).times(len(layers)),
    )
    protocols = len(plan.study["protocols"])
    rows = sides["validation"].examples * (grid + 1) * protocols + sides["test"].examples * 2 * protocols
    return CellCost(
        shape=shape,
        dataset=dataset,
        sides=sides,
        edits=count,
        jobs=jobs + further_jobs(plan, model, dataset),
        plain=plain,
        released=released,
        released_calls=sum(calls(side, grid + 1) for side in sides.values()),
        result_bytes=rows * BYTES_PER_ROW,
    )


def _sweep(plan: Plan, model: str, dataset: str, file: str, work: Work) -> JobCost:
    """Return the sweep of a layer. Of several datasets in one job, the first makes the random decompositions."""
    if dataset not in plan.together:
        return JobCost("sweep", model, dataset, work, Path("sweep", model, dataset, file))
    joins = dataset != plan.together[0]
    own = replace(work, randomised=0.0) if joins else work
    return JobCost("sweep", model, dataset, own, Path("sweep_together", model, file), joins)


def further_jobs(plan: Plan, model: str, dataset: str) -> list[JobCost]:
    """Return the jobs of a cell's evaluations besides the sweep, with the most work that they may have."""
    kinds = [kind for kind, cells in plan.evaluated().items() if (model, dataset) in cells]
    stages = [stage for kind in kinds if (stage := STAGE_OF.get(kind, f"evaluate_{kind}")) in STAGES]
    compared = plan.compares_searches(model, dataset)
    if compared or searches_by(plan.study, GRADIENT):
        stages.append("gradients")
    if compared or ("table3" in plan.study["artefacts"] and plan.published_choice(model, dataset)):
        stages.append("evaluate_choices")
    jobs = []
    for stage in stages:
        cell = {"model": model, "dataset": dataset}
        layers = plan.study["landscape"]["grid"][model]["layers"] if stage == "landscape" else []
        for names in [cell | {"layer": str(layer)} for layer in layers] or [cell]:
            file = Path(stage, model, dataset, f"layer{names['layer']}") if layers else Path(stage, model, dataset)
            jobs.append(JobCost(stage, model, dataset, demand_of(plan, stage, names).work, Path(f"{file}.json")))
    return jobs


def released_seconds(cell: CellCost, device: Device) -> float:
    """Return the time in seconds of the released procedure: every call reads all weights, which bounds it on a GPU."""
    reading = 0.0
    if device.bandwidth is not None:
        reading = cell.released_calls * cell.shape.parameters * cell.shape.width / device.bandwidth
    return max(reading, device.seconds(cell.released, cell.shape.width))


def _rho_jobs(plan: Plan) -> Iterator[tuple[str, list[float]]]:
    """Yield (ending of the file's name, rhos) of the jobs of one layer."""
    if plan.study["one_job_per"] == "rho":
        yield from ((f"-rho{rho_name(rho)}", [rho]) for rho in plan.rhos)
    else:
        yield "", plan.rhos
