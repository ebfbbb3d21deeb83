"""The sweep of one layer: all its matrices, rhos and protocols, on the validation rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from laser.config.specs import SweepSpec
from laser.evaluation.cell import Cell, answer_each, intervention, job_cell, no_rows, result_rows, say_overflows
from laser.evaluation.gradient_candidates import surviving
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job

LABELS = {"protocol": "", "matrix": "", "layer": 0, "rho": 0.0}
"""Example values of the columns before a row's scores, for a file without rows."""


def sweep_layer(job: Job) -> None:
    """Evaluate the spec's matrices at its rhos and write one file per rho, in the spec's order of rhos.

    Protocols with the same low-rank step share its evaluation: only the judgement differs. If the spec has `keep`, a
    protocol evaluates only the matrices among the first `keep` places of the gradients file. If none of them is in this
    layer, the files have their columns and no rows, and no model is loaded.
    """
    spec: SweepSpec = job.spec
    outputs = job.outputs("sweep", **spec.cell, layer=spec.layer, rho=spec.rhos)
    inspected = _inspected(job)
    facts: dict[str, object] = {}
    frames: dict[float, list[pd.DataFrame]] = {rho: [no_rows(LABELS)] for rho in spec.rhos}
    if any(inspected.values()):
        cell = job_cell(job, "validation")
        frames, facts = _evaluate(job, cell, inspected), {"run": cell.run_facts}
        say_overflows(job, cell, pd.concat([frame for of_rho in frames.values() for frame in of_rho]))
    else:
        job.say("the gradients leave no matrix of this layer: the files have no rows")
    for rho, path in zip(spec.rhos, outputs, strict=True):
        write_parquet(path, pd.concat(frames[rho], ignore_index=True), job.metadata(rho=rho, **facts))


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


def _evaluate(job: Job, cell: Cell, inspected: dict[str, Sequence[str]]) -> dict[float, list[pd.DataFrame]]:
    """Return the rows of every rho."""
    spec: SweepSpec = job.spec
    wanted = {
        (protocol, matrix, rho): (intervention(cell, protocol, matrix, spec.layer, rho),)
        for rho in spec.rhos
        for matrix in spec.matrices
        for protocol in spec.protocols
        if matrix in inspected[protocol]
    }
    answered = answer_each(job, cell, wanted.values())
    frames: dict[float, list[pd.DataFrame]] = {rho: [] for rho in spec.rhos}
    for (protocol, matrix, rho), edit in wanted.items():
        frames[rho].append(result_rows(cell, answered[edit], protocol, matrix=matrix, layer=spec.layer, rho=rho))
    return frames
