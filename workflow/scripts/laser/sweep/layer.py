"""The sweep of one layer: all its matrices, ranks and protocols on the validation rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from laser.io.files import write_parquet
from laser.io.job import Job
from laser.sweep.cell import answers_for, counter, intervention, open_cell, result_rows


def sweep_layer(job: Job, outputs: list[Path]) -> None:
    """Evaluate the spec's matrices at its ranks and write one file per rank, in the spec's order of ranks.

    Protocols that share their low-rank step share its evaluation: only the judgement differs.
    """
    spec = job.spec
    cell = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "validation")
    wanted = {
        (protocol, matrix, rank): intervention(cell, protocol, matrix, spec["layer"], rank)
        for rank in spec["ranks"]
        for matrix in spec["matrices"]
        for protocol in spec["protocols"]
    }
    distinct = list(dict.fromkeys(wanted.values()))
    count = counter(job, cell, len(distinct))
    answered = dict(zip(distinct, answers_for(cell, [(one,) for one in distinct], count), strict=True))
    for rank, path in zip(spec["ranks"], outputs, strict=True):
        frames = [
            result_rows(cell, answered[one], protocol, matrix=matrix, layer=spec["layer"], rank=at)
            for (protocol, matrix, at), one in wanted.items()
            if at == rank
        ]
        write_parquet(path, pd.concat(frames, ignore_index=True), spec | {"rank": rank, "run": cell.run_facts})
