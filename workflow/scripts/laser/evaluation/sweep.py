"""The sweep of one layer: all its matrices, rhos and protocols on the validation rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from laser.evaluation.cell import Cell, answer_each, intervention, no_rows, open_cell, result_rows, say_overflows
from laser.evaluation.gradient_candidates import surviving
from laser.io.files import read_json, write_parquet
from laser.io.job import Job

LABELS = {"protocol": "", "matrix": "", "layer": 0, "rho": 0.0}
"""What stands before the scores of a row, for a file without rows."""


def sweep_layer(job: Job, outputs: list[Path]) -> None:
    """Evaluate the spec's matrices at its rhos and write one file per rho, in the spec's order of rhos.

    Protocols that share their low-rank step share its evaluation: only the judgement differs. Given a gradients file
    (`search: gradient`), a protocol has only those matrices among its first `gradient.keep` places; where none of them
    is in this layer, the files have their columns and no rows, and no model is loaded.
    """
    spec = job.spec
    inspected = _inspected(job)
    facts: dict[str, object] = {}
    frames: dict[float, list[pd.DataFrame]] = {rho: [no_rows(LABELS)] for rho in spec["rhos"]}
    if any(inspected.values()):
        cell = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "validation")
        frames, facts = _evaluate(job, cell, inspected), {"run": cell.run_facts}
        say_overflows(job, cell, pd.concat([frame for of_rho in frames.values() for frame in of_rho]))
    else:
        job.say("the gradients leave no matrix of this layer: the files have no rows")
    for rho, path in zip(spec["rhos"], outputs, strict=True):
        write_parquet(path, pd.concat(frames[rho], ignore_index=True), spec | {"rho": rho} | facts)


def _inspected(job: Job) -> dict[str, list[str]]:
    """Return the matrices of this layer that each protocol evaluates."""
    spec = job.spec
    if not job.paths.get("gradients"):
        return dict.fromkeys(spec["protocols"], spec["matrices"])
    places = surviving(read_json(job.path("gradients")), spec["gradient"]["keep"])
    return {
        protocol: [matrix for matrix in spec["matrices"] if (spec["layer"], matrix) in places[protocol]]
        for protocol in spec["protocols"]
    }


def _evaluate(job: Job, cell: Cell, inspected: dict[str, list[str]]) -> dict[float, list[pd.DataFrame]]:
    """Return the rows of every rho."""
    spec = job.spec
    wanted = {
        (protocol, matrix, rho): (intervention(cell, protocol, matrix, spec["layer"], rho),)
        for rho in spec["rhos"]
        for matrix in spec["matrices"]
        for protocol in spec["protocols"]
        if matrix in inspected[protocol]
    }
    answered = answer_each(job, cell, wanted.values())
    frames: dict[float, list[pd.DataFrame]] = {rho: [] for rho in spec["rhos"]}
    for (protocol, matrix, rho), one in wanted.items():
        frames[rho].append(result_rows(cell, answered[one], protocol, matrix=matrix, layer=spec["layer"], rho=rho))
    return frames
