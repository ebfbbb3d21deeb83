"""Singular values above the noise edge of each matrix, and its effective rank: ranks that need no evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.tables import View, integer, number
from laser.config.artefacts import Artefact, evaluated_cells
from laser.reduction.rank_rules import RULES, nearest_rho, ranks

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _rhos(plan: Plan) -> dict[str, Any]:
    return {"grid_rhos": list(plan.rhos)}


ARTEFACT = Artefact(
    name="edges",
    kind="table",
    title="Edge of the noise in each matrix",
    about="singular values above Marchenko and Pastur's edge, their share of the variance, and the effective rank",
    reads=("spectra",),
    cells=evaluated_cells("rank_rules"),
    needs="rank_rules",
    texts=("model", "matrix"),
    resampled=False,
    not_for_policies="rank rules are compared for language models only",
    settings=_rhos,
)

COLUMNS = (
    *("model", "layer", "matrix", "rows", "columns", "median", "noise", "edge", "above", "share_above"),
    *("effective_rank", *(f"rho_{rule}" for rule in RULES)),
)
"""Columns of the CSV. `median` is the median singular value; `noise` the standard deviation that it implies; `edge` the
largest singular value of such noise; `above` how many singular values are larger, with their share of the sum of
squares in percent; `rho_…` the grid's ρ nearest to each rule's rank."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    documents = {document["model"]: document for document in study.documents("spectra", "model", "matrices").values()}
    return edges(documents.values(), study.spec["grid_rhos"])


def edges(documents: Iterable[Mapping[str, Any]], rhos: Sequence[float]) -> pd.DataFrame:
    """Return a row per model, layer and matrix with the columns `COLUMNS`.

    Args:
        documents: spectra/<model>.json of each model.
        rhos: values of ρ in the grid.
    """
    lines = []
    for document in documents:
        for record in sorted(document["matrices"], key=lambda each: each["layer"]):
            line = {"model": document["model"]} | {name: record.get(name) for name in COLUMNS[1:]}
            line |= {"rows": record["shape"][0], "columns": record["shape"][1]}
            line["share_above"] = 100 * record["share_above"]
            line |= {f"rho_{rule}": nearest_rho(rank, record["shape"], rhos) for rule, rank in ranks(record).items()}
            lines.append(line)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view."""
    columns = ["Model", "Layer", "Matrix", "Shape", "Edge", "Rank above", "of the variance, %", "ρ by the edge"]
    columns += ["Effective rank", "ρ by it"]
    lines = [
        [
            row["model"],
            integer(row["layer"]),
            row["matrix"],
            f"{row['rows']} × {row['columns']}",
            number(row["edge"], 2),
            integer(row["above"]),
            number(row["share_above"], 1),
            f"{row['rho_edge']:g}",
            number(row["effective_rank"], 1),
            f"{row['rho_effective_rank']:g}",
        ]
        for row in frame.to_dict("records")
    ]
    notes = [
        "Edge: the largest singular value of a random matrix of the same shape (Marchenko and Pastur), its variance "
        "estimated from the median singular value (Gavish and Donoho, arXiv 1305.5870). Rank above: singular values "
        "larger than the edge. Effective rank: exp of the entropy of the singular values over their sum.",
        "ρ: the grid's value nearest to the rank over the largest possible one.",
    ]
    return [View("edges", ARTEFACT.title, columns, lines, notes=notes)]
