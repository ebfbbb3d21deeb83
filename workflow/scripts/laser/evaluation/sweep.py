"""The sweep of one layer: all its matrices, ranks and protocols on the validation rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from laser.evaluation.cell import Cell, answer_each, intervention, no_rows, open_cell, result_rows
from laser.evaluation.gradient_candidates import surviving
from laser.io.files import read_json, write_parquet
from laser.io.job import Job

LABELS = {"protocol": "", "matrix": "", "layer": 0, "rank": 0.0}
"""What stands before the scores of a row, for a file without rows."""


def sweep_layer(job: Job, outputs: list[Path]) -> None:
    """Evaluate the spec's matrices at its ranks and write one file per rank, in the spec's order of ranks.

    Protocols that share their low-rank step share its evaluation: only the judgement differs. Given a gradients file
    (`search: gradient`), a protocol has only those matrices among its first `gradient.keep` places; where none of them
    is in this layer, the files have their columns and no rows, and no model is loaded.
    """
    spec = job.spec
    inspected = _inspected(job)
    facts: dict[str, object] = {}
    frames: dict[float, list[pd.DataFrame]] = {rank: [no_rows(LABELS)] for rank in spec["ranks"]}
    if any(inspected.values()):
        cell = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "validation")
        frames, facts = _evaluate(job, cell, inspected), {"run": cell.run_facts}
    else:
        job.say("the gradients leave no matrix of this layer: the files have no rows")
    for rank, path in zip(spec["ranks"], outputs, strict=True):
        write_parquet(path, pd.concat(frames[rank], ignore_index=True), spec | {"rank": rank} | facts)


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
    """Return the rows of every rank."""
    spec = job.spec
    wanted = {
        (protocol, matrix, rank): (intervention(cell, protocol, matrix, spec["layer"], rank),)
        for rank in spec["ranks"]
        for matrix in spec["matrices"]
        for protocol in spec["protocols"]
        if matrix in inspected[protocol]
    }
    answered = answer_each(job, cell, wanted.values())
    frames: dict[float, list[pd.DataFrame]] = {rank: [] for rank in spec["ranks"]}
    for (protocol, matrix, rank), one in wanted.items():
        frames[rank].append(result_rows(cell, answered[one], protocol, matrix=matrix, layer=spec["layer"], rank=rank))
    return frames
