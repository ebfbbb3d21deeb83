"""The edits of a study's grid, as its jobs evaluate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laser.config.evaluations import task_of
from laser.config.plan import Plan
from laser.config.protocols import interventions_kind
from laser.reduction.interventions import Intervention


def low_rank_steps(plan: Plan, task: str) -> list[dict[str, Any]]:
    """Return the distinct low-rank steps of the study's protocols on a causal or masked model."""
    steps: list[dict[str, Any]] = []
    for protocol in plan.study["protocols"]:
        step = interventions_kind(protocol, task)
        if step not in steps:
            steps.append(step)
    return steps


def layer_edits(plan: Plan, model: str, layer: int, rhos: Sequence[float]) -> list[Intervention]:
    """Return the edits of one layer of a model: every low-rank step of the protocols, matrix and ρ."""
    steps = low_rank_steps(plan, task_of(plan.model(model)))
    matrices = plan.study["grid"][model]["matrices"]
    return [Intervention(matrix, layer, rho, **step) for step in steps for matrix in matrices for rho in rhos]
