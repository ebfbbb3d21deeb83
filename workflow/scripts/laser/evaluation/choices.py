"""Test rows at interventions that selection did not choose: those of the paper and of the cheap search.

Nothing here feeds a choice: the paper, or validation rows, fixed what is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.specs import ChoicesSpec
from laser.errors import UserError
from laser.evaluation.cell import Cell, answer_each, chosen_edit, job_cell, matrix_view, result_rows
from laser.evaluation.gradient_candidates import surviving
from laser.evaluation.gradients import choose
from laser.io.files import read_json, read_parquet, write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Edit, Intervention, kept_rank

COLUMNS = ["protocol", "matrix", "layer", "rho", "id", "correct", "loss"]


def with_kept_rank(cell: Cell, intervention: Intervention) -> dict[str, Any]:
    """Return matrix, layer and rho of an intervention, and the number of singular values that it keeps."""
    matrix, layer, rho = intervention.matrix, intervention.layer, intervention.rho
    kept = kept_rank(rho, matrix_view(cell, matrix, layer).shape)
    return {"matrix": matrix, "layer": layer, "rho": rho, "kept_rank": kept}


def inspected_rows(sweep: Sequence[Path], ranking: Mapping[str, Any], keep: int) -> pd.DataFrame:
    """Return the sweep's rows that the cheap search looks at; no other rows stay in memory."""
    places = surviving(ranking, keep)
    wanted = {
        protocol: {example["id"] for example in ranked["examples"]} for protocol, ranked in ranking["protocols"].items()
    }
    frames = []
    for path in sweep:
        frame = read_parquet(path, COLUMNS)
        for protocol, protocol_rows in frame.groupby("protocol", sort=False):
            at_place = pd.MultiIndex.from_frame(protocol_rows[["layer", "matrix"]]).isin(list(places[str(protocol)]))
            frames.append(protocol_rows[at_place & protocol_rows["id"].isin(wanted[str(protocol)])])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def evaluate_choices(job: Job) -> None:
    """Write the test rows at each choice, labelled `choice`; equal edits are evaluated once.

    `published` is the spec's `published_choice` under each protocol's own low-rank step; `gradient` is what the cheap
    search chooses under each protocol from the gradients file and the sweep (base if base won). The file's spec
    gives under `choices`, per protocol, the intervention of each choice (None: base), and under `search` what the cheap
    search looked at.

    Raises:
        UserError: there is neither a published choice nor a search.
    """
    spec: ChoicesSpec = job.spec
    output = job.output("choices", **spec.cell)
    # Test rows are scored after the selection was made, and do not depend on it.
    job.input("selection", **spec.cell)
    published, search = spec.published_choice, _search(job)
    if published is None and not search:
        raise UserError(
            f"{spec.model.name} on {spec.dataset.name}: there is no choice to evaluate. Give the spec a "
            "published_choice (matrix, layer, rho), or a cheap_search (keep, layers, rhos)."
        )
    cell = job_cell(job, "test")
    edits: dict[tuple[str, str], Edit] = {}
    for protocol in spec.protocols:
        given: dict[str, Any] = {"published": asdict(published)} if published is not None else {}
        given |= {"gradient": search[protocol]["chosen"]} if search else {}
        for name, choice in given.items():
            edits[protocol, name] = chosen_edit(cell, protocol, choice)
    answered = answer_each(job, cell, edits.values())
    frames = [result_rows(cell, answered[edit], protocol, choice=name) for (protocol, name), edit in edits.items()]
    choices: dict[str, dict[str, Any]] = {protocol: {} for protocol in spec.protocols}
    for (protocol, name), edit in edits.items():
        choices[protocol][name] = with_kept_rank(cell, edit[0]) if edit else None
    facts = {"run": cell.run_facts, "choices": choices, "search": search}
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts))


def _search(job: Job) -> dict[str, dict[str, Any]]:
    """Return the cheap search's choice and cost per protocol, without its candidates; {} if the spec has no search."""
    spec: ChoicesSpec = job.spec
    if spec.cheap_search is None:
        return {}
    ranking, keep = read_json(job.input("gradients", **spec.cell)), spec.cheap_search.keep
    sweep = job.inputs("sweep", **spec.cell, layer=spec.cheap_search.layers, rho=spec.cheap_search.rhos)
    by_protocol = choose(ranking, inspected_rows(sweep, ranking, keep), keep)
    return {
        name: {key: outcome[key] for key in outcome if key != "candidates"} for name, outcome in by_protocol.items()
    }
