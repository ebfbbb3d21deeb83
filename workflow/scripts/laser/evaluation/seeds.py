"""The spread of the released randomised low-rank step over its seeds, on test rows.

The released code sets no seed, so a published number is one draw from this spread.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from laser.config.protocols import randomised_iterations
from laser.config.specs import SeedsSpec
from laser.evaluation.cell import answer_each, job_cell, result_rows
from laser.evaluation.choices import with_kept_rank
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Intervention


def place_to_draw(published: dict[str, Any] | None, selected: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the (matrix, layer, rho) that is evaluated under every seed of one protocol, and where it comes from.

    Args:
        published: the paper's choice for this cell, or None.
        selected: one protocol's part of a selection file.

    Returns:
        The paper's choice, else the selected one, else (if base won) the best candidate; and its source in words.
    """
    if published is not None:
        return published, "published choice"
    if selected["chosen"] is not None:
        return selected["chosen"], "selected"
    return selected["candidates"][0], "best candidate"


def evaluate_seeds(job: Job) -> None:
    """Write the test rows under every seed of the spec, labelled `seed`; equal edits are evaluated once.

    The step has the power iterations of the released code (2 for causal models, 20 for masked ones) under either
    protocol. Protocols differ in rows, judgement and, if the paper has no choice for the cell, in the place. The
    file's spec gives under `intervention`, per protocol, the place and where it comes from.
    """
    spec: SeedsSpec = job.spec
    output = job.output("seeds", **spec.cell)
    cell = job_cell(job, "test")
    selection = read_json(job.input("selection", **spec.cell))["protocols"]
    niter = randomised_iterations(cell.loaded.task)
    published = None if spec.published_choice is None else asdict(spec.published_choice)
    places, said = {}, {}
    for protocol in spec.protocols:
        edit, source = place_to_draw(published, selection[protocol])
        places[protocol] = Intervention(edit["matrix"], edit["layer"], edit["rho"], "randomised", niter=niter)
        step = {"kind": "randomised", "niter": niter, "source": source}
        said[protocol] = with_kept_rank(cell, places[protocol]) | step
    edits = {
        (protocol, seed): (replace(places[protocol], seed=seed),) for protocol in spec.protocols for seed in spec.seeds
    }
    answered = answer_each(job, cell, edits.values())
    frames = [result_rows(cell, answered[edit], protocol, seed=seed) for (protocol, seed), edit in edits.items()]
    facts = {"run": cell.run_facts, "intervention": said, "niter": niter}
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts))
