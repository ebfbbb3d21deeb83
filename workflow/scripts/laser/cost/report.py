"""The cost of a study as text: one line per model and dataset, sums, disk, and the check against a finished run."""

from __future__ import annotations

from collections.abc import Sequence

from laser.cost.study import CellCost, ModelCost, job_seconds, released_seconds
from laser.cost.time import Compared, Device

TOLERANCE = 0.25
CHECKED = ("base", "sweep", "test")


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
    for one in models:
        work = sum(job.work.total for job in one.jobs)
        hours = sum(job_seconds(job, one.shape, device) for job in one.jobs) / 3600
        sizes = [f"{one.shape.bytes / 1e9:.3g}", f"{one.factor_bytes / 1e9:.3g}"]
        lines += _row([one.shape.name, f"{work / 1e15:.3g}", f"{hours:.3g}", *sizes])
    both: list[ModelCost | CellCost] = [*models, *cells]
    jobs = [(job, one.shape) for one in both for job in one.jobs]
    hours = sum(job_seconds(job, shape, device) for job, shape in jobs) / 3600
    work = sum(job.work.total for job, _ in jobs) / 1e15
    kept = sum(one.shape.bytes + one.factor_bytes for one in models) / 1e9
    results = sum(cell.result_bytes for cell in cells) / 1e9
    lines += [
        "",
        f"In all: {len(jobs)} jobs of these rules, {work:.3g} PFLOP, {hours:.3g} device hours; "
        f"{kept:.3g} GB in the cache, {results:.3g} GB of results.",
    ]
    return "\n".join(lines)


def check_text(compared: Sequence[Compared]) -> tuple[str, bool]:
    """Return the comparison as Markdown, and whether base, sweep and test together are within `TOLERANCE`."""
    head = ["stage", "jobs", "without benchmark", "predicted s", "measured s", "ratio", "processor s"]
    lines = ["", *_row(head), *_row(["---"] * len(head))]
    lines += [line for one in compared for line in _row(_compared(one))]
    some = [one for one in compared if one.stage in CHECKED]
    predicted, wall = sum(one.predicted for one in some), sum(one.wall for one in some)
    ratio = predicted / wall if wall else float("nan")
    within = abs(ratio - 1) <= TOLERANCE
    verdict = "within" if within else "NOT within"
    lines += ["", f"{' + '.join(CHECKED)}: predicted / measured = {ratio:.2f}, {verdict} {TOLERANCE:.0%}."]
    return "\n".join(lines), within


def _compared(one: Compared) -> list[str]:
    ratio = f"{one.predicted / one.wall:.2f}" if one.wall else "-"
    numbers = [f"{one.predicted:.1f}", f"{one.wall:.1f}", ratio, f"{one.processor:.1f}"]
    return [one.stage, str(one.jobs), str(one.missing), *numbers]


def _cell(cell: CellCost, device: Device) -> list[str]:
    hours = sum(job_seconds(job, cell.shape, device) for job in cell.jobs) / 3600
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
