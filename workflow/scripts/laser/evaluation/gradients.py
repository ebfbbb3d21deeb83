"""The cheap search: a ranking of places by the gradients of their singular values, and the choice it leads to.

Source: Compress to Impress (arXiv 2510.20800). One backward pass on a hundred examples tells which few matrices are
worth inspecting, and a hundred examples suffice to score them. The clustering of rows in that paper is left out: the
edit stays LASER's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from laser.config.protocols import PROTOCOLS
from laser.config.specs import GradientsSpec
from laser.engine.backward import Place, gradients
from laser.errors import UserError
from laser.evaluation.cell import (
    answers_for,
    counter,
    first_rows,
    job_cell,
    matrix_view,
    of_protocol,
    result_rows,
)
from laser.evaluation.gradient_candidates import surviving
from laser.evaluation.select import select
from laser.policies.games import Games
from laser.provenance.job import Job
from laser.reduction.interventions import kept_rank
from laser.reduction.svd import Factors

RULE = (
    "g_i = u_i' G v_i for the gradient G of the mean answer loss; predicted change of the loss (nats) when all "
    "components after the k-th are dropped: minus the sum of s_i g_i over i > k; a place's score is its lowest "
    "predicted change over the rhos; the lowest score comes first; ties: later layer, then the grid's order of "
    "matrices"
)


def singular_gradients(gradient: Tensor, factors: Factors) -> Tensor:
    """Return g_i = u_iᵀ G v_i for G (m, n): the gradient of the loss by singular value, (d,) fp32."""
    return ((factors.u.T @ gradient.to(factors.u)) * factors.vt).sum(dim=1)


def predicted_changes(gradient: Tensor, factors: Factors, rhos: Sequence[float]) -> list[dict[str, Any]]:
    """Return, per ρ, `rho`, `kept_rank` and `change` = −Σ_{i>k} σ_i g_i, the first-order change of the loss in nats."""
    terms = factors.s.double() * singular_gradients(gradient, factors).double()
    counts = [kept_rank(rho, (len(factors.u), factors.vt.shape[1])) for rho in rhos]
    return [
        {"rho": rho, "kept_rank": kept, "change": 0.0 - float(terms[kept:].sum())}
        for rho, kept in zip(rhos, counts, strict=True)
    ]


def rank_places(
    predicted: Mapping[Place, Sequence[Mapping[str, Any]]], matrices: Sequence[str]
) -> list[dict[str, Any]]:
    """Rank places (`RULE`).

    Args:
        predicted: what `predicted_changes` returns, per (layer, matrix).
        matrices: the grid's order of matrices.

    Returns:
        Best first: `matrix`, `layer`, `order` (from 1), `score` (nats, negative if the loss is predicted to fall),
        `rho` (the ρ with that score, the smallest of equals), and `predicted`.
    """
    places = []
    for (layer, matrix), changes in predicted.items():
        best = min(changes, key=lambda change: (change["change"], change["rho"]))
        place = {"matrix": matrix, "layer": layer, "score": best["change"], "rho": best["rho"]}
        places.append(place | {"predicted": list(changes)})
    places.sort(key=lambda place: (place["score"], -place["layer"], matrices.index(place["matrix"])))
    return [place | {"order": order} for order, place in enumerate(places, start=1)]


def rank_cell(job: Job) -> dict[str, Any]:
    """Rank the grid's places on the first `examples` validation rows of each protocol.

    Returns:
        Per protocol: `examples` (for each row used, its id and the base model's `correct` and `loss`),
        `validation_examples` (the number of validation rows in all), the mean `loss` (nats) and `places`
        (`rank_places`).
    """
    spec: GradientsSpec = job.spec
    grid = spec.grid
    whole = job_cell(job, "validation", gradients=True)
    cell = first_rows(whole, spec.examples)
    (base,) = answers_for(cell, [()], counter(job, cell, 1))
    places = [(layer, matrix) for layer in grid.layers for matrix in grid.matrices]
    made = {}
    for protocol in spec.protocols:
        part = of_protocol(cell, protocol)
        if isinstance(part.questions, Games):
            raise UserError("gradients are taken for language models only. Leave `search` out of the study.")
        loss, by_place = gradients(part.loaded, part.questions, PROTOCOLS[protocol], places, spec.token_budget)
        job.say(f"{protocol}: {len(places)} gradients on {len(part.questions.items)} examples, mean loss {loss:.4f}")
        predicted = {
            (layer, matrix): predicted_changes(
                gradient, cell.store.get(matrix_view(cell, matrix, layer).float()), spec.rhos
            )
            for (layer, matrix), gradient in by_place.items()
        }
        made[protocol] = {
            "examples": _rows(result_rows(cell, base, protocol)),
            "validation_examples": len(of_protocol(whole, protocol).questions.items),
            "loss": loss,
            "places": rank_places(predicted, grid.matrices),
        }
    return made


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return id, correct and loss of per-example rows, ready for JSON; the loss is None if the model overflows."""
    return [
        {
            "id": str(row["id"]),
            "correct": bool(row["correct"]),
            "loss": float(row["loss"]) if math.isfinite(row["loss"]) else None,
        }
        for row in frame.to_dict("records")
    ]


def choose(ranking: Mapping[str, Any], swept: pd.DataFrame, keep: int) -> dict[str, dict[str, Any]]:
    """Return the choice of the cheap search: among the first `keep` places, at every rho, on its own examples only.

    The rule is that of selection (`laser.evaluation.select.RULE`), so base may win under `corrected`.

    Args:
        ranking: the content of a gradients file.
        swept: per-example validation rows, with `protocol`, `matrix`, `layer`, `rho`, `id`, `correct`, `loss`.
        keep: number of places that are inspected.

    Returns:
        Per protocol: `chosen` (matrix, layer, rho, kept_rank; None if base won), `validation` (scores of base and
        chosen on the examples), `candidates`, and the cost: `evaluations` of `exhaustive_evaluations` interventions,
        each on `examples` of `validation_examples` rows.

    Raises:
        UserError: the sweep lacks rows of a surviving place.
    """
    places = surviving(ranking, keep)
    result = {}
    for protocol, ranked in ranking["protocols"].items():
        base = pd.DataFrame(ranked["examples"]).assign(protocol=protocol)
        rows = swept[swept["protocol"] == protocol]
        at_place = pd.MultiIndex.from_frame(rows[["layer", "matrix"]]).isin(list(places[protocol]))
        inspected = rows[rows["id"].isin(set(base["id"])) & at_place]
        kept = {
            (place["matrix"], place["layer"], float(prediction["rho"])): prediction["kept_rank"]
            for place in ranked["places"]
            for prediction in place["predicted"]
        }
        wanted = {key for key in kept if (key[1], key[0]) in places[protocol]}
        have = set(zip(inspected["matrix"], inspected["layer"], inspected["rho"].astype(float), strict=True))
        if missing := sorted(wanted - have):
            matrix, layer, rho = missing[0]
            raise UserError(
                f"the sweep holds no row of the protocol {protocol} for matrix {matrix}, layer {layer}, rho {rho} on "
                "the examples of the gradients file. Delete the gradients file of this cell and run again."
            )
        matrices = ranking["spec"]["grid"]["matrices"]
        result[protocol] = select(base, inspected, matrices, kept)[protocol] | {
            "evaluations": len(wanted),
            "exhaustive_evaluations": len(kept),
            "examples": len(base),
            "validation_examples": ranked["validation_examples"],
        }
    return result
