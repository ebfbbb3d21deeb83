"""Rules that set ρ in place of the grid: the choice of each on validation rows, and its test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from laser.config.specs import RankRulesSpec
from laser.evaluation.generic_choice import RULE, generic_choice
from laser.evaluation.transfer import distinct, write_rows
from laser.io.files import read_json
from laser.provenance.job import Job
from laser.reduction.rank_rules import RULES, nearest_rho, ranks


def ruled(
    selected: Mapping[str, Any],
    spectra: Sequence[Mapping[str, Any]],
    matrices: Sequence[str],
    rhos: Sequence[float],
    protocol: str,
) -> dict[str, Any]:
    """Return what each rule chooses under one protocol, in the order of selection (`generic_choice`).

    A rule derives ρ for every matrix and layer from singular values only; the nearest ρ of the grid is taken.
    Validation rows choose matrix and layer, as for the grid. A rule thus compares one candidate per matrix and layer,
    where the grid has one per ρ.

    Args:
        selected: one protocol's part of a selection file.
        spectra: records of the model's matrices (`laser.evaluation.spectra`).
        matrices: the grid's order of matrices.
        rhos: the grid's values of ρ.
        protocol: `published` or `corrected`.
    """
    chosen = {}
    for rule in RULES:
        said = {
            (each["matrix"], each["layer"]): nearest_rho(ranks(each)[rule], each["shape"], rhos) for each in spectra
        }
        allowed = [each for each in selected["candidates"] if each["rho"] == said[each["matrix"], each["layer"]]]
        chosen[rule] = generic_choice([{**selected, "candidates": allowed}], matrices, protocol)
    return chosen


def evaluate_rank_rules(job: Job) -> None:
    """Write the test rows at the rules' choices, labelled matrix, layer and rho; the spec gives each rule's choice."""
    spec: RankRulesSpec = job.spec
    spectra = read_json(job.input("spectra", model=spec.model.name))["matrices"]
    selection = read_json(job.input("selection", **spec.cell))["protocols"]
    said = {
        protocol: ruled(selection[protocol], spectra, spec.matrices, spec.rhos, protocol) for protocol in spec.protocols
    }
    wanted = {
        protocol: distinct([choice["chosen"] for choice in of_rules.values()], selection[protocol]["chosen"])
        for protocol, of_rules in said.items()
    }
    write_rows(job, "rank_rules", wanted, {"ruled": said, "rule": RULE})
