"""The sweep of one layer: all its matrices, rhos and protocols, on the validation rows of one or several datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pandas as pd

from laser.config.specs import SweepSpec, SweepTogetherSpec, as_json
from laser.evaluation.cell import (
    SITE_LABELS,
    Cell,
    answer_each,
    intervention,
    job_cell,
    job_cells,
    no_rows,
    result_rows,
    say_overflows,
)
from laser.evaluation.gradient_candidates import surviving
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Edit
from laser.tasks.passes import Answers, Requests
from laser.tasks.questions import Questions

Swept = Mapping[tuple[str, str, float], Edit]
"""Protocol, matrix and rho to the edit that evaluates them; protocols may share one."""


def sweep_layer(job: Job) -> None:
    """Evaluate the spec's matrices at its rhos and write one file per rho, in the spec's order of rhos.

    Protocols with the same low-rank step share its evaluation: only the judgement differs. If the spec has `keep`, a
    protocol evaluates only the matrices among the first `keep` places of the gradients file. If none of them is in this
    layer, the files have their columns and no rows, and no model is loaded.
    """
    spec: SweepSpec = job.spec
    inspected = _inspected(job)
    if not any(inspected.values()):
        job.say("the gradients leave no matrix of this layer: the files have no rows")
        _write(job, spec, {rho: [no_rows(SITE_LABELS)] for rho in spec.rhos}, {})
        return
    cell = job_cell(job, "validation")
    swept = _swept(cell, spec, inspected)
    _write_rows(job, cell, spec, swept, answer_each(job, cell, swept.values()))


def sweep_together(job: Job) -> None:
    """Sweep one layer on several datasets in common and write the files of each, as `sweep_layer` does.

    The model is loaded once, its random decompositions are made once, and prompts of different datasets that begin
    alike share their tokens. Numbers agree with those of separate sweeps up to the order of floating-point sums.
    """
    spec: SweepTogetherSpec = job.spec
    specs = [replace(spec, dataset=dataset) for dataset in spec.together]
    cells = job_cells(job, specs, "validation")
    swept = _swept(cells[0], spec, dict.fromkeys(spec.protocols, spec.matrices))
    answered = answer_each(job, joined(cells), swept.values())
    parts = {edit: list(separated(cells, answers)) for edit, answers in answered.items()}
    for index, (cell, each) in enumerate(zip(cells, specs, strict=True)):
        _write_rows(job, cell, each, swept, {edit: answers[index] for edit, answers in parts.items()})


def joined(cells: Sequence[Cell]) -> Cell:
    """Return a cell that asks what all of the given cells of one model ask, in their order."""
    questions = [cell.questions for cell in cells if isinstance(cell.questions, Questions)]
    requests = Requests(
        tuple(chain.from_iterable(each.requests.passes for each in questions)),
        tuple(chain.from_iterable(each.requests.generations for each in questions)),
    )
    items = list(chain.from_iterable(each.items for each in questions))
    return replace(cells[0], questions=replace(questions[0], requests=requests, items=items))


def separated(cells: Sequence[Cell], answers: Answers) -> Iterator[Answers]:
    """Yield the part of the answers to `joined` that belongs to each cell."""
    passes = generations = 0
    for requests in (cell.questions.requests for cell in cells):
        first, passes = passes, passes + len(requests.passes)
        start, generations = generations, generations + len(requests.generations)
        yield Answers(answers.passes[first:passes], answers.generations[start:generations])


def _inspected(job: Job) -> dict[str, Sequence[str]]:
    """Return the matrices of this layer that each protocol evaluates."""
    spec: SweepSpec = job.spec
    if spec.keep is None:
        return dict.fromkeys(spec.protocols, spec.matrices)
    places = surviving(read_json(job.input("gradients", **spec.cell)), spec.keep)
    return {
        protocol: [matrix for matrix in spec.matrices if (spec.layer, matrix) in places[protocol]]
        for protocol in spec.protocols
    }


def _swept(cell: Cell, spec: SweepSpec, inspected: Mapping[str, Sequence[str]]) -> Swept:
    """Return the edit of every protocol, matrix and rho that is evaluated."""
    return {
        (protocol, matrix, rho): (intervention(cell, protocol, matrix, spec.layer, rho),)
        for rho in spec.rhos
        for matrix in spec.matrices
        for protocol in spec.protocols
        if matrix in inspected[protocol]
    }


def _write_rows(job: Job, cell: Cell, spec: SweepSpec, swept: Swept, answered: Mapping[Edit, Any]) -> None:
    """Judge the answers and write the files of one dataset."""
    frames: dict[float, list[pd.DataFrame]] = {rho: [] for rho in spec.rhos}
    for (protocol, matrix, rho), edit in swept.items():
        frames[rho].append(result_rows(cell, answered[edit], protocol, matrix=matrix, layer=spec.layer, rho=rho))
    say_overflows(job, cell, pd.concat([frame for of_rho in frames.values() for frame in of_rho]))
    _write(job, spec, frames, {"run": cell.run_facts})


def _write(job: Job, spec: SweepSpec, frames: Mapping[float, list[pd.DataFrame]], facts: Mapping[str, Any]) -> None:
    outputs = job.outputs("sweep", **spec.cell, layer=spec.layer, rho=spec.rhos)
    for rho, path in zip(spec.rhos, outputs, strict=True):
        metadata = job.metadata(dataset=as_json(spec.dataset), rho=rho, **facts)
        write_parquet(path, pd.concat(frames[rho], ignore_index=True), metadata)
