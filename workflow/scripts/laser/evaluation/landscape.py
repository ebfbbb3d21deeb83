"""The landscape of one layer: every kind of intervention at every matrix and rho, on validation rows.

The kinds are rank reduction (paper Figure 2), pruning of the same amounts (paper Figure 10), the control that keeps
only the smallest components, and separate reduction of clusters of rows (arXiv 2510.20800).
"""

from __future__ import annotations

import pandas as pd

from laser.config.specs import LandscapeSpec
from laser.errors import UserError, nearest
from laser.evaluation.cell import (
    Cell,
    answer_each,
    first_rows,
    intervention,
    job_cell,
    matrix_view,
    result_rows,
)
from laser.evaluation.row_clusters import decomposed, replacements
from laser.io.files import write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Intervention

LANDSCAPE_KINDS = ("svd", "pruning", "smallest")
CLUSTERED = "clustered"


def landscape_intervention(cell: Cell, protocol: str, kind: str, matrix: str, layer: int, rho: float) -> Intervention:
    """Return a landscape's edit of any kind but `clustered`.

    `svd` is the protocol's own low-rank step. `pruning` sets the smallest magnitudes to 0 and keeps the fraction ρ of
    the entries; `smallest` keeps the ⌊ρ·d⌋ components with the smallest singular values. Both are the same under every
    protocol.

    Raises:
        UserError: a landscape has no such kind.
    """
    if kind not in LANDSCAPE_KINDS:
        allowed = (*LANDSCAPE_KINDS, CLUSTERED)
        raise UserError(f"landscape.kinds holds '{kind}'{nearest(kind, allowed)}. Allowed: {', '.join(allowed)}.")
    if kind == "svd":
        return intervention(cell, protocol, matrix, layer, rho)
    return Intervention(matrix=matrix, layer=layer, rho=rho, kind=kind)


def edits_of_kind(cell: Cell, spec: LandscapeSpec, kind: str) -> dict[tuple[str, str, float], Intervention]:
    """Return a kind's edits by protocol, matrix and ρ; clusters of rows are the same under every protocol."""
    if kind == CLUSTERED:
        made: dict[tuple[str, str, float], Intervention] = {}
        for matrix in spec.matrices:
            assert spec.clusters is not None
            clusters = decomposed(matrix_view(cell, matrix, spec.layer), spec.clusters, spec.seed)
            for rho, edit in replacements(clusters, matrix, spec.layer, spec.rhos).items():
                made |= {(protocol, matrix, rho): edit for protocol in spec.protocols}
        return made
    return {
        (protocol, matrix, rho): landscape_intervention(cell, protocol, kind, matrix, spec.layer, rho)
        for matrix in spec.matrices
        for rho in spec.rhos
        for protocol in spec.protocols
    }


def evaluate_landscape(job: Job) -> None:
    """Write one layer's validation rows, or the first `rows` of them, with the labels kind, matrix, layer and rho.

    The engine is called once per kind: edits of one kind share the layers below them, and only one kind's edited
    matrices (dense for pruning, for clusters and for the randomised step) are in memory at a time.
    """
    spec: LandscapeSpec = job.spec
    output = job.output("landscape", **spec.cell, layer=spec.layer)
    cell = first_rows(job_cell(job, "validation"), spec.rows)
    frames = []
    for kind in spec.kinds:
        edits = edits_of_kind(cell, spec, kind)
        answered = answer_each(job, cell, ((edit,) for edit in edits.values()))
        frames += [
            result_rows(cell, answered[edit,], protocol, kind=kind, matrix=matrix, layer=spec.layer, rho=rho)
            for (protocol, matrix, rho), edit in edits.items()
        ]
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(run=cell.run_facts))
