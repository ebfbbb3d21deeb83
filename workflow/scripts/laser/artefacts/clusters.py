"""Clustered reduction: validation accuracy and loss against the amount of reduction, a line per number of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.style import figure, legend, line, matrix_of_layer, percentages, rows, save, title
from laser.config.artefacts import Artefact, evaluated_cells
from laser.results.averages import mean_scores
from laser.results.columns import SCORES, read_columns
from laser.results.loading import cell_of

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="clusters",
    kind="figure",
    title="Rows in clusters along the reduction",
    about="validation accuracy and loss by clusters and reduction",
    reads=("base", "clustered"),
    cells=evaluated_cells("clustered"),
    needs="clustered",
    texts=("model", "dataset", "protocol", "matrix"),
    not_for_policies="clusters are evaluated of language models alone",
    resampled=False,
)

MEASURES = {"accuracy": "accuracy, %", "loss": "mean loss, nats per token"}


def clusters_data(path: Path, base: Path, protocol: str) -> pd.DataFrame:
    """Return the numbers behind the figure.

    Args:
        path: results of `laser.evaluation.clustered`.
        base: validation rows of the unmodified model for the same cell.
        protocol: `published` or `corrected`.

    Returns:
        A frame with model, dataset, protocol, matrix, layer, clusters, rho, removed_percent (100·(1 − ρ)), n, accuracy,
        base_accuracy (percent), loss, base_loss (nats per answer token); base is averaged over the same rows.
    """
    model, dataset, spec = cell_of(path)
    frame = read_columns(path, ["protocol", "split", "clusters", "rho", "id", *SCORES])
    frame = frame[(frame["protocol"] == protocol) & (frame["split"] == "validation")]
    averages = mean_scores(frame, ["clusters", "rho"])
    unedited = read_columns(base, ["protocol", "id", *SCORES])
    unedited = unedited[(unedited["protocol"] == protocol) & unedited["id"].isin(frame["id"])]
    reference = mean_scores(unedited, ["protocol"]).iloc[0]
    names: dict[str, Any] = {"model": model, "dataset": dataset, "protocol": protocol, **spec["places"][protocol]}
    data = averages[["clusters", "rho", "n", *MEASURES]].assign(**names)
    data["removed_percent"] = (100 * (1 - data["rho"])).round(9)
    for measure in MEASURES:
        data[f"base_{measure}"] = float(reference[measure])
    columns = [*names, "clusters", "rho", "removed_percent", "n"]
    columns += [f"{arm}{measure}" for measure in MEASURES for arm in ("", "base_")]
    return data[columns].sort_values(["clusters", "rho"], ascending=[True, False], ignore_index=True)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw accuracy and loss against the reduction from a study's files."""
    cell = (picture.model, picture.dataset)
    data = clusters_data(study.path_of("clustered", cell), study.base(cell), picture.protocol)
    counts = sorted(set(data["clusters"]))
    reductions = sorted(set(data["removed_percent"]))
    with figure(len(MEASURES), 1, len(counts) + 2) as (made, axes):
        for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
            for number, count in enumerate(counts):
                part = data[data["clusters"] == count]
                places = [reductions.index(removed) for removed in part["removed_percent"]]
                name = "1 (the whole matrix)" if count == 1 else str(count)
                axis.plot(places, part[measure], label=name, **line(number, len(counts)))
            axis.axhline(data[f"base_{measure}"].iloc[0], color="black", linestyle="--", linewidth=1, label="base")
            axis.set_xticks(range(len(reductions)), percentages(reductions))
            axis.set_xlabel("removed, % of the rank")
            axis.set_ylabel(label)
        first = data.iloc[0]
        place = matrix_of_layer(first["matrix"], first["layer"])
        what = f"{first['model']} on {first['dataset']}: rows of {place} in clusters, validation rows"
        title(made, f"{what}, {picture.protocol} protocol, {rows(first['n'])}")
        legend(made, "clusters")
        save(made, data, stem)
