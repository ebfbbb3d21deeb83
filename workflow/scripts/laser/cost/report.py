"""The cost of a study as text: a sentence, and by model, dataset and rule; and the check against a finished run."""

from __future__ import annotations

from collections.abc import Sequence

from laser.cost.progress import duration
from laser.cost.shapes import Shape
from laser.cost.study import CellCost, JobCost, ModelCost, job_parts, job_seconds, released_seconds
from laser.cost.time import Compared, Device

TOLERANCE = 0.25
CHECKED = ("base", "sweep", "test")


def sentence(
    title: str, models: Sequence[ModelCost], cells: Sequence[CellCost], device: Device, jobs: int, trained: int
) -> str:
    """Return time and disk of a study in one sentence.

    Args:
        title: the study's title.
        models: its models' costs.
        cells: the costs of its models on its datasets.
        device: the device that it would run on.
        jobs: how many run at once on this machine; 0 for a device elsewhere, whose hours are given.
        trained: how many models the study trains itself; their training is not counted.
    """
    _, seconds, kept, results = _totals(models, cells, device)
    time = f"{seconds / 3600:.3g} hours of one {device.name}"
    if jobs:
        time = f"{duration(seconds / jobs)} on {device.name}"
    time += f", beside the training of {trained} model{'s' if trained > 1 else ''}" if trained else ""
    return f"{title}: about {time}; {kept:.3g} GB in the cache, {results:.3g} GB of results."


def study_text(title: str, models: Sequence[ModelCost], cells: Sequence[CellCost], device: Device) -> str:
    """Return Markdown: operations in PFLOP, times in hours of one device, disk in GB."""
    shown = f"{device.name}; {device.efficiency:.0%} of {device.single / 1e12:.3g} TFLOP/s fp32"
    if device.half != device.single:
        shown += f", {device.half / 1e12:.3g} fp16"
    head = ["model", "dataset", "rows val/test", "tokens", "base", "sweep", "test", "plain", "one by one", "hours"]
    head += ["plain h", "one by one h", "from"]
    lines = [f"# {title}", "", f"Device: {shown}.", "", *_row(head), *_row(["---"] * len(head))]
    lines += [line for cell in cells for line in _row(_cell(cell, device))]
    lines += ["", *_row(["model", "decompositions, PFLOP", "hours", "checkpoint GB", "factors GB"]), *_row(["---"] * 5)]
    for cost in models:
        work = sum(job.work.total for job in cost.jobs)
        hours = sum(job_seconds(job, cost.shape, device) for job in cost.jobs) / 3600
        sizes = [f"{cost.shape.bytes / 1e9:.3g}", f"{cost.factor_bytes / 1e9:.3g}"]
        lines += _row([cost.shape.name, f"{work / 1e15:.3g}", f"{hours:.3g}", *sizes])
    jobs, seconds, kept, results = _totals(models, cells, device)
    hours, work = seconds / 3600, sum(job.work.total for job, _ in jobs) / 1e15
    if stages := dict.fromkeys(job.stage for job, _ in jobs if job.stage not in ("reduce", *CHECKED)):
        lines += ["", *_row(["beside the sweep", "jobs", "PFLOP, at most", "hours, at most"]), *_row(["---"] * 4)]
    for stage in stages:
        further = [(job, shape) for job, shape in jobs if job.stage == stage]
        part = sum(job.work.total for job, _ in further) / 1e15
        time = sum(job_seconds(job, shape, device) for job, shape in further) / 3600
        lines += _row([stage, str(len(further)), f"{part:.3g}", f"{time:.3g}"])
    lines += ["", *_parts(jobs, device)]
    count = sum(not job.joins for job, _ in jobs)
    lines += [
        "",
        f"In all: {count} jobs of these rules, {work:.3g} PFLOP, {hours:.3g} device hours; "
        f"{kept:.3g} GB in the cache, {results:.3g} GB of results.",
    ]
    return "\n".join(lines)


def _totals(
    models: Sequence[ModelCost], cells: Sequence[CellCost], device: Device
) -> tuple[list[tuple[JobCost, Shape]], float, float, float]:
    """Return all jobs with their models' shapes, their seconds, and the GB that they leave in cache and results."""
    both: list[ModelCost | CellCost] = [*models, *cells]
    jobs = [(job, cost.shape) for cost in both for job in cost.jobs]
    seconds = sum(job_seconds(job, shape, device) for job, shape in jobs)
    kept = sum(cost.shape.bytes + cost.factor_bytes for cost in models) / 1e9
    return jobs, seconds, kept, sum(cell.result_bytes for cell in cells) / 1e9


def _parts(jobs: Sequence[tuple[JobCost, Shape]], device: Device) -> list[str]:
    """Return what the hours are spent on, model by model."""
    seconds: dict[str, dict[str, float]] = {}
    for job, shape in jobs:
        of_model = seconds.setdefault(shape.name, {})
        for part, time in job_parts(job, shape, device).items():
            of_model[part] = of_model.get(part, 0.0) + time
    parts = list(dict.fromkeys(part for of_model in seconds.values() for part in of_model))
    lines = [*_row(["hours of", *seconds, "all"]), *_row(["---"] * (len(seconds) + 2))]
    for part in parts:
        each = [of_model[part] / 3600 for of_model in seconds.values()]
        lines += _row([part, *(f"{hours:.3g}" for hours in (*each, sum(each)))])
    return lines


def check_text(compared: Sequence[Compared]) -> tuple[str, bool]:
    """Return the comparison as Markdown, and whether base, sweep and test together are within `TOLERANCE`."""
    head = ["stage", "jobs", "without a run", "predicted s", "measured s", "ratio", "processor s"]
    lines = ["", *_row(head), *_row(["---"] * len(head))]
    lines += [line for stage in compared for line in _row(_compared(stage))]
    checked = [stage for stage in compared if stage.stage in CHECKED]
    predicted, wall = sum(stage.predicted for stage in checked), sum(stage.wall for stage in checked)
    ratio = predicted / wall if wall else float("nan")
    within = abs(ratio - 1) <= TOLERANCE
    verdict = "within" if within else "NOT within"
    lines += ["", f"{' + '.join(CHECKED)}: predicted / measured = {ratio:.2f}, {verdict} {TOLERANCE:.0%}."]
    return "\n".join(lines), within


def _compared(stage: Compared) -> list[str]:
    ratio = f"{stage.predicted / stage.wall:.2f}" if stage.wall else "-"
    numbers = [f"{stage.predicted:.1f}", f"{stage.wall:.1f}", ratio, f"{stage.processor:.1f}"]
    return [stage.stage, str(stage.jobs), str(stage.missing), *numbers]


def _cell(cell: CellCost, device: Device) -> list[str]:
    hours = sum(job_seconds(job, cell.shape, device) for job in cell.jobs if job.stage in CHECKED) / 3600
    plain = device.seconds(cell.plain, cell.shape.width, cell.shape.split) / 3600
    one_by_one = released_seconds(cell, device) / 3600
    stages = [f"{cell.stage(name).total / 1e15:.3g}" for name in CHECKED]
    validation, test = cell.sides["validation"], cell.sides["test"]
    asked = validation.examples * cell.edits * (validation.pass_tokens + validation.prompt_tokens + validation.steps)
    return [
        cell.shape.name,
        cell.dataset,
        f"{validation.examples:,}/{test.examples:,}",
        f"{asked:.2e}",
        *stages,
        f"{cell.plain.total / 1e15:.3g}",
        f"{cell.released.total / 1e15:.3g}",
        f"{hours:.3g}",
        f"{plain:.3g}",
        f"{one_by_one:.3g}",
        validation.source,
    ]


def _row(values: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(values) + " |"]
