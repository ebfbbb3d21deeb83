"""Test rows of one dataset at interventions chosen on the validation rows of a model's other datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from laser.config.specs import TransferSpec
from laser.evaluation.cell import SITE_LABELS, Cell, answer_each, chosen_edit, job_cell, no_rows, result_rows
from laser.evaluation.generic_choice import RULE, generic_choice
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job

Choice = Mapping[str, Any]
"""An intervention's matrix, layer, rho and kept_rank."""


def transferred(selections: Mapping[str, Any], dataset: str, matrices: Sequence[str], protocol: str) -> dict[str, Any]:
    """Return the choices that are applied to a dataset under one protocol.

    Args:
        selections: maps each dataset to the protocols of its selection file.
        dataset: the dataset that the choices are applied to.
        matrices: the grid's order of matrices.
        protocol: `published` or `corrected`.

    Returns:
        `chosen_on`: maps each dataset, this one included, to its choice (None if base won); `generic`: the one
        intervention for all the other datasets (`generic_choice`).
    """
    parts = {name: protocols[protocol] for name, protocols in selections.items()}
    others = [part for name, part in parts.items() if name != dataset]
    return {
        "chosen_on": {name: part["chosen"] for name, part in parts.items()},
        "generic": generic_choice(others, matrices, protocol),
    }


def further(choices: Mapping[str, Any], dataset: str) -> list[Choice]:
    """Return the distinct choices of `transferred` without base and the dataset's own, which its test file has."""
    applied = [*choices["chosen_on"].values(), choices["generic"]["chosen"]]
    return distinct(applied, choices["chosen_on"][dataset])


def distinct(choices: Sequence[Choice | None], own: Choice | None) -> list[Choice]:
    """Return the distinct interventions among choices, without a dataset's own and base (None)."""
    different: list[Choice] = []
    for choice in choices:
        if choice is not None and choice != own and choice not in different:
            different.append(choice)
    return different


def evaluate_transfer(job: Job) -> None:
    """Write the test rows at every further choice; the file's spec says whose choice each is."""
    spec: TransferSpec = job.spec
    paths = job.inputs("selection", model=spec.model.name, dataset=spec.datasets)
    selections = {name: read_json(path)["protocols"] for name, path in zip(spec.datasets, paths, strict=True)}
    said = {
        protocol: transferred(selections, spec.dataset.name, spec.matrices, protocol) for protocol in spec.protocols
    }
    wanted = {protocol: further(choices, spec.dataset.name) for protocol, choices in said.items()}
    write_rows(job, "transfer", wanted, {"transferred": said, "rule": RULE})


def write_rows(job: Job, kind: str, wanted: Mapping[str, Sequence[Choice]], facts: Mapping[str, Any]) -> None:
    """Write the test rows at some interventions of each protocol, labelled matrix, layer and rho.

    Args:
        job: a job of one model and dataset.
        kind: the kind of file that is written (`laser.config.paths`).
        wanted: each protocol's interventions; if there are none, the file has no rows and no model is loaded.
        facts: what the file carries besides the job's spec.
    """
    output = job.output(kind, **job.spec.cell)
    frames, run = [no_rows(SITE_LABELS)], {}
    if any(wanted.values()):
        cell = job_cell(job, "test")
        frames += rows_at(job, cell, wanted)
        run = {"run": cell.run_facts}
    else:
        job.say("every choice is the dataset's own or base: the file has no rows")
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts, **run))


def rows_at(job: Job, cell: Cell, wanted: Mapping[str, Sequence[Choice]]) -> list[pd.DataFrame]:
    """Return the rows at some interventions of each protocol; equal edits are evaluated once."""
    edits = {
        (protocol, choice["matrix"], choice["layer"], choice["rho"]): chosen_edit(cell, protocol, choice)
        for protocol, choices in wanted.items()
        for choice in choices
    }
    answered = answer_each(job, cell, edits.values())
    return [
        result_rows(cell, answered[edit], protocol, matrix=matrix, layer=layer, rho=rho)
        for (protocol, matrix, layer, rho), edit in edits.items()
    ]
