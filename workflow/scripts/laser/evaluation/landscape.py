"""The landscape of one layer: every kind of intervention at every matrix and rho, on validation rows.

Paper Figure 2 (rank reduction), Figure 10 (pruning of the same amounts), and the control that keeps only the smallest
components.
"""

from __future__ import annotations

import pandas as pd

from laser.config.specs import LandscapeSpec
from laser.errors import UserError, nearest
from laser.evaluation.cell import Cell, answers_for, counter, intervention, job_cell, result_rows
from laser.evaluation.part_of_cell import first_rows
from laser.io.files import write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Intervention

LANDSCAPE_KINDS = ("svd", "pruning", "smallest")


def landscape_intervention(cell: Cell, protocol: str, kind: str, matrix: str, layer: int, rho: float) -> Intervention:
    """Return a landscape's edit.

    `svd` is the protocol's own low-rank step. `pruning` sets the smallest magnitudes to 0 and keeps the fraction ρ of
    the entries, `smallest` keeps the ⌊ρ·d⌋ components with the smallest singular values; both are the same under
    every protocol.

    Raises:
        UserError: a kind that a landscape does not have.
    """
    if kind not in LANDSCAPE_KINDS:
        raise UserError(
            f"landscape.kinds holds '{kind}'{nearest(kind, LANDSCAPE_KINDS)}. Allowed: {', '.join(LANDSCAPE_KINDS)}."
        )
    if kind == "svd":
        return intervention(cell, protocol, matrix, layer, rho)
    return Intervention(matrix=matrix, layer=layer, rho=rho, kind=kind)


def evaluate_landscape(job: Job) -> None:
    """Write the rows of one layer: labels kind, matrix, layer, rho; validation rows, or the first `rows` of them.

    The engine is called once per kind: edits of one kind share the layers below them, and no more than one kind's
    edited matrices (those of pruning and of the randomised step are dense) are held at a time.
    """
    spec: LandscapeSpec = job.spec
    output = job.output("landscape", **spec.cell, layer=spec.layer)
    cell = first_rows(job_cell(job, "validation"), spec.rows)
    places = [(matrix, rho) for matrix in spec.matrices for rho in spec.rhos]
    wanted = {
        kind: {
            (protocol, matrix, rho): landscape_intervention(cell, protocol, kind, matrix, spec.layer, rho)
            for matrix, rho in places
            for protocol in spec.protocols
        }
        for kind in spec.kinds
    }
    distinct = {kind: list(dict.fromkeys(edits.values())) for kind, edits in wanted.items()}
    count = counter(job, cell, sum(map(len, distinct.values())))
    frames = []
    for kind, edits in wanted.items():
        answers = answers_for(cell, [(edit,) for edit in distinct[kind]], count)
        answered = dict(zip(distinct[kind], answers, strict=True))
        frames += [
            result_rows(cell, answered[edit], protocol, kind=kind, matrix=matrix, layer=spec.layer, rho=rho)
            for (protocol, matrix, rho), edit in edits.items()
        ]
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(run=cell.run_facts))
