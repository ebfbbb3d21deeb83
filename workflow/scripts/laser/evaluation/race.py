"""The race of one cell: candidates are scored on blocks of validation rows until they can no longer win."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from laser.config.protocols import PROTOCOLS
from laser.config.specs import RaceSpec
from laser.errors import UserError
from laser.evaluation.cell import (
    Cell,
    answers_for,
    intervention,
    job_cell,
    of_protocol,
    result_rows,
    say_overflows,
)
from laser.evaluation.gradient_candidates import surviving
from laser.evaluation.racing import Rules, run_race
from laser.io.files import read_json, read_parquet, write_parquet
from laser.provenance.job import Job

Candidate = tuple[int, str, float]
"""Layer, matrix and ρ."""


def race_cell(job: Job) -> None:
    """Race the candidates of each protocol and write all rows that were scored.

    Rows are ordered by candidate, in the grid's order, and then in the data's order. The file's metadata has under
    `race`, per protocol, the facts that `race_protocol` returns.
    """
    spec: RaceSpec = job.spec
    output = job.output("race", **spec.cell)
    base = read_parquet(job.input("base", **spec.cell))
    cell = job_cell(job, "validation")
    frames, facts = [], {}
    for protocol, candidates in _candidates(job).items():
        frame, facts[protocol] = race_protocol(job, of_protocol(cell, protocol), protocol, candidates, base)
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    say_overflows(job, cell, rows)
    write_parquet(output, rows, job.metadata(run=cell.run_facts, race=facts))


def _candidates(job: Job) -> dict[str, list[Candidate]]:
    """Return the candidates of each protocol."""
    spec: RaceSpec = job.spec
    grid = [(layer, matrix) for layer in spec.grid.layers for matrix in spec.grid.matrices]
    if spec.keep is None:
        places = {protocol: set(grid) for protocol in spec.protocols}
    else:
        places = surviving(read_json(job.input("gradients", **spec.cell)), spec.keep)
    return {
        protocol: [(*place, rho) for place in grid if place in places[protocol] for rho in spec.rhos]
        for protocol in spec.protocols
    }


def race_protocol(
    job: Job, cell: Cell, protocol: str, candidates: list[Candidate], base: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Race the candidates of one protocol.

    Args:
        job: the job, whose spec has the rules of the race.
        cell: a cell with the examples of the protocol's side.
        protocol: the protocol under which answers are judged.
        candidates: the candidates that race.
        base: the base model's validation rows.

    Returns:
        The rows that were scored, and the facts: `rows`, `candidates`, `whole` (how many of them ran to the end),
        `evaluations` of `exhaustive_evaluations` (each is one candidate on one row), and `called_off`.
    """
    spec: RaceSpec = job.spec
    ids = [item.example.id for item in cell.questions.items]
    frames: dict[int, list[pd.DataFrame]] = {number: [] for number in range(len(candidates))}

    def evaluate(which: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked = [ids[row] for row in rows]
        part = replace(cell, questions=cell.questions.only(set(asked)))
        job.say(f"{protocol}: {len(which)} of {len(candidates)} candidates on {len(asked)} more of {len(ids)} rows")
        correct, loss = [], []
        for number, answers in _answers(part, protocol, candidates, which):
            layer, matrix, rho = candidates[number]
            frame = result_rows(part, answers, protocol, matrix=matrix, layer=layer, rho=rho)
            frames[number].append(frame)
            scores = frame.set_index("id").loc[asked]
            correct.append(scores["correct"].to_numpy(dtype=bool))
            loss.append(scores["loss"].to_numpy(dtype=float, na_value=np.nan))
        return np.stack(correct), np.stack(loss)

    rules = Rules(spec.error, spec.blocks, spec.seed)
    race = run_race(len(ids), len(candidates), evaluate, _of_base(base, protocol, ids), rules)
    order = {name: rank for rank, name in enumerate(ids)}
    parts = [
        pd.concat(frames[number], ignore_index=True).sort_values("id", key=lambda column: column.map(order))
        for number in range(len(candidates))
    ]
    facts = {
        "rows": race.rows,
        "candidates": len(candidates),
        "whole": int(race.whole.sum()),
        "evaluations": int(race.seen.sum()),
        "exhaustive_evaluations": race.rows * len(candidates),
        "called_off": race.called_off,
    }
    job.say(
        f"{protocol}: {facts['whole']} of {facts['candidates']} candidates ran to the end, "
        f"{facts['evaluations']} of {facts['exhaustive_evaluations']} evaluations"
    )
    return pd.concat(parts, ignore_index=True), facts


def _answers(cell: Cell, protocol: str, candidates: list[Candidate], which: np.ndarray) -> Any:
    """Yield (candidate, its answers), layer by layer: the engine shares the layers below an edited one."""
    for layer in dict.fromkeys(candidates[number][0] for number in which):
        here = [int(number) for number in which if candidates[number][0] == layer]
        edits = []
        for number in here:
            _, matrix, rho = candidates[number]
            edits.append((intervention(cell, protocol, matrix, layer, rho),))
        yield from zip(here, answers_for(cell, edits, lambda done: None), strict=True)


def _of_base(base: pd.DataFrame, protocol: str, ids: list[str]) -> np.ndarray | None:
    """Return the base model's correct and loss (2, rows) if it competes, else None."""
    if not PROTOCOLS[protocol].base_is_candidate:
        return None
    rows = base[base["protocol"] == protocol].set_index("id")
    if set(rows.index) != set(ids):
        raise UserError(
            f"protocol {protocol}: base was scored on other validation rows than the race. Delete the base file of "
            "this cell and run again."
        )
    return rows.loc[ids, ["correct", "loss"]].to_numpy(dtype=float, na_value=np.inf).T
