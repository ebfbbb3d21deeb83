"""Rows of the chosen matrix in clusters, each reduced on its own, beside LASER's one reduction of the whole matrix.

Every number of clusters and every ρ is scored on validation rows; what is best there is then scored once on test rows.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from laser.config.specs import ClusteredSpec
from laser.engine import naive
from laser.evaluation.cell import Cell, job_cell, result_rows
from laser.evaluation.part_of_cell import first_rows, of_protocol
from laser.evaluation.replaced_weights import matrix_view, replaced
from laser.evaluation.row_clusters import decomposed, kept_parameters, reduced
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job

Place = tuple[str, int]
"""Matrix and layer."""


def evaluate_clustered(job: Job) -> None:
    """Write rows of every (number of clusters, ρ) on validation, and of the best one of each protocol on test rows.

    The matrix is the one that selection chose, or the best candidate's where it kept base; one cluster is the exact SVD
    of the whole matrix, the control. Labels are `split` (`validation`, `test`), `clusters` and `rho`. The file's spec
    says under `places` which matrix each protocol's rows are about, under `sizes` the rows of each cluster and under
    `chosen` what is best: highest accuracy on validation, then lowest loss, then fewest parameters, then fewest
    clusters.
    """
    spec: ClusteredSpec = job.spec
    output = job.output("clustered", **spec.cell)
    selection = read_json(job.input("selection", **spec.cell))["protocols"]
    chosen = {name: selection[name]["chosen"] or selection[name]["candidates"][0] for name in spec.protocols}
    places = {name: (choice["matrix"], choice["layer"]) for name, choice in chosen.items()}
    # The weights are replaced whole, so that they stay in their own precision.
    validation = first_rows(job_cell(job, "validation", gradients=True), spec.rows)
    clusters = {
        (place, count): decomposed(matrix_view(validation, *place), count, spec.seed)
        for place in dict.fromkeys(places.values())
        for count in spec.clusters
    }
    advance = job.progress(len(places) * len(spec.clusters) * len(spec.rhos), "clusterings × ρ")
    frames: list[pd.DataFrame] = []
    best: dict[str, dict[str, Any]] = {}
    for name, place in places.items():
        cell = of_protocol(validation, name)
        scored: list[tuple[tuple[float, ...], int, float]] = []
        for count in spec.clusters:
            parts = clusters[place, count]
            for rho in spec.rhos:
                frame = _rows(cell, place, reduced(parts, rho), name, "validation", count, rho)
                frames.append(frame)
                overflowed = bool(frame["loss"].isna().any())
                loss = float("inf") if overflowed else float(frame["loss"].mean())
                order = (-float(frame["correct"].mean()), loss, kept_parameters(parts, rho), count, -rho)
                scored.append((order, count, rho))
                advance(1)
        _, count, rho = min(scored)
        best[name] = {"clusters": count, "rho": rho, "parameters": kept_parameters(clusters[place, count], rho)}
    test = job_cell(job, "test", gradients=True)
    for name, place in places.items():
        count, rho = best[name]["clusters"], best[name]["rho"]
        weight = reduced(clusters[place, count], rho)
        frames.append(_rows(of_protocol(test, name), place, weight, name, "test", count, rho))
    facts = {
        "places": {name: {"matrix": matrix, "layer": layer} for name, (matrix, layer) in places.items()},
        "sizes": {
            name: {str(count): [len(part.rows) for part in clusters[place, count]] for count in spec.clusters}
            for name, place in places.items()
        },
        "chosen": best,
        "run": test.run_facts,
    }
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts))


def _rows(
    cell: Cell, place: Place, weight: torch.Tensor, protocol: str, split: str, count: int, rho: float
) -> pd.DataFrame:
    """Return result rows of a cell whose matrix at a place is another one."""
    requests: Any = cell.questions.requests
    matrix, layer = place
    with replaced(cell, layer, {matrix: weight}):
        answers = naive.answer(cell.loaded, requests, cell.spec.token_budget)
    return result_rows(cell, answers, protocol, split=split, clusters=count, rho=float(rho))
