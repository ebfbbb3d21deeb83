"""Reduction of the chosen matrix by clusters of rows, compared with LASER's one reduction of the whole matrix.

Every number of clusters and every ρ is scored on validation rows; the best of them is then scored once on test rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from laser.config.specs import ClusteredSpec
from laser.evaluation.cell import Cell, answers_for, first_rows, job_cell, matrix_view, of_protocol, result_rows
from laser.evaluation.row_clusters import Cluster, decomposed, kept_parameters, replacements
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job

Place = tuple[int, str]
"""(layer, logical matrix)."""


def evaluate_clustered(job: Job) -> None:
    """Write the validation rows of every (number of clusters, ρ), and the test rows of each protocol's best one.

    The matrix is the one that selection chose, or the best candidate's if selection kept base. One cluster is the
    control: the exact SVD of the whole matrix. Labels are `split` (`validation`, `test`), `clusters` and `rho`. The
    file's spec gives under `places` the matrix of each protocol, under `sizes` the number of rows of each cluster and
    under `chosen` the best setting: highest accuracy on validation, then lowest loss, then fewest parameters, then
    fewest clusters.
    """
    spec: ClusteredSpec = job.spec
    output = job.output("clustered", **spec.cell)
    selection = read_json(job.input("selection", **spec.cell))["protocols"]
    chosen = {name: selection[name]["chosen"] or selection[name]["candidates"][0] for name in spec.protocols}
    places = {name: (choice["layer"], choice["matrix"]) for name, choice in chosen.items()}
    validation = first_rows(job_cell(job, "validation"), spec.rows)
    clusters = {
        ((layer, matrix), count): decomposed(matrix_view(validation, matrix, layer), count, spec.seed)
        for layer, matrix in dict.fromkeys(places.values())
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
            for rho, frame in _rows(cell, place, parts, name, "validation", count, spec.rhos).items():
                frames.append(frame)
                overflowed = bool(frame["loss"].isna().any())
                loss = float("inf") if overflowed else float(frame["loss"].mean())
                order = (-float(frame["correct"].mean()), loss, kept_parameters(parts, rho), count, -rho)
                scored.append((order, count, rho))
                advance(1)
        _, count, rho = min(scored)
        best[name] = {"clusters": count, "rho": rho, "parameters": kept_parameters(clusters[place, count], rho)}
    test = job_cell(job, "test")
    for name, place in places.items():
        count, rho = best[name]["clusters"], best[name]["rho"]
        frames += _rows(of_protocol(test, name), place, clusters[place, count], name, "test", count, [rho]).values()
    facts = {
        "places": {name: {"matrix": matrix, "layer": layer} for name, (layer, matrix) in places.items()},
        "sizes": {
            name: {str(count): [len(part.rows) for part in clusters[place, count]] for count in spec.clusters}
            for name, place in places.items()
        },
        "chosen": best,
        "run": test.run_facts,
    }
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts))


def _rows(
    cell: Cell, place: Place, parts: list[Cluster], protocol: str, split: str, count: int, rhos: Sequence[float]
) -> dict[float, pd.DataFrame]:
    """Return the result rows by ρ of a cell whose matrix at a place is reduced cluster by cluster."""
    layer, matrix = place
    edits = replacements(parts, matrix, layer, rhos)
    answers = answers_for(cell, [(edit,) for edit in edits.values()], lambda examples: None)
    labels = {"split": split, "clusters": count}
    return {
        rho: result_rows(cell, answered, protocol, **labels, rho=float(rho))
        for rho, answered in zip(edits, answers, strict=True)
    }
