"""Checking the targets of a run against the study, before any job starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.artefacts import declared, unfit
from laser.config.paths import PATTERNS, rho_name
from laser.errors import UserError, nearest

if TYPE_CHECKING:
    from laser.config.plan import Plan


def check_targets(plan: Plan, words: Iterable[str], rules: Iterable[str]) -> None:
    """Refuse a target that the study cannot make; anything that names no artefact and no result is left to Snakemake.

    Args:
        plan: the study.
        words: the command line, whose targets Snakemake does not know yet when it reads the rules.
        rules: names of the workflow's rules.

    Raises:
        UserError: the study cannot make a target; the message names it, what the study has, and what to change.
    """
    known = set(rules)
    for word in words:
        artefact = _artefact_of(plan, word)
        # In a workflow that uses this one as a module, the rules of artefacts have other names.
        reason = unfit(declared()[artefact], plan.study) if artefact in declared() and artefact not in known else ""
        if reason:
            raise UserError(f"target '{word}': {_why_not(plan, artefact, reason)}")
        _check_path(plan, word)


def _artefact_of(plan: Plan, target: str) -> str:
    """Return the artefact that a target names, by its rule or as a file of tables/ or figures/; else the target."""
    below = _below(plan, target)
    if below is None:
        return target
    table = re.fullmatch(r"tables/(\w+)\.\w+", below)
    figure = re.match(r"figures/(\w+)/", below)
    return table[1] if table else figure[1] if figure else target


def _below(plan: Plan, target: str) -> str | None:
    """Return a path below the study's folder of results; None for anything else."""
    path, folder = Path(os.path.normpath(target)), Path(plan.results)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _why_not(plan: Plan, artefact: str, reason: str) -> str:
    study = plan.study
    cannot = f"the study '{study['name']}' does not have {artefact}"
    return f"{cannot}: it {reason}. Artefacts of this study: {', '.join(study['artefacts'])}."


def _check_path(plan: Plan, target: str) -> None:
    """Refuse the path of a result of a model, dataset, layer, rho or protocol that the study does not have."""
    below = _below(plan, target)
    if below is None:
        return
    for pattern in PATTERNS.values():
        if not pattern.startswith("<results>/"):
            continue
        escaped = re.escape(pattern.removeprefix("<results>/"))
        match = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+?)", escaped), below)
        if match is not None:
            _check_values(plan, target, match.groupdict())
            return


def _check_values(plan: Plan, target: str, values: dict[str, Any]) -> None:
    study = plan.study["name"]
    allowed: dict[str, tuple[str, list[str]]] = {
        "model": ("models", plan.models),
        "dataset": ("datasets", plan.datasets),
        "rho": ("grid.rhos", [rho_name(rho) for rho in plan.rhos]),
        "protocol": ("protocols", plan.study["protocols"]),
        "form": ("the forms of an export", ["dense", "factored"]),
    }
    if values.get("model") in plan.models and "landscape" not in target:
        allowed["layer"] = ("grid.layers", [str(layer) for layer in plan.layers(values["model"])])
    for name, (key, known) in allowed.items():
        value = values.get(name)
        if value is not None and value not in known:
            similar = "" if name in ("rho", "layer") else nearest(value, known)
            raise UserError(
                f"target '{target}': the study '{study}' does not have the {name} {value}{similar}. "
                f"It has: {', '.join(known)} ({key} in the study's file)."
            )
