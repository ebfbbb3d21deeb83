"""Figure 7: effective rank of the matrices by layer (Roy & Vetterli 2007)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from laser.analysis import style
from laser.analysis.style import MATRIX_LABELS, figure, layer_axis, legend, save, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.errors import UserError

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig7",
    kind="figure",
    title="Figure 7",
    about="effective rank by layer",
    reads=("reduction",),
    cells=drawn_cells,
    pictures="{model}/all",
    texts=("model", "matrix"),
    resampled=False,
)

LEAST_SHOWN = 0.1
"""Smallest range of the axis, as a share of the largest rank, so that differences of a few components look small."""


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    fig7(study.reductions(picture.model), stem)


def fig7(reductions: pandas.DataFrame, stem: Path | str) -> pandas.DataFrame:
    """Draw effective rank against layer for one model, a line per matrix.

    Args:
        reductions: records of one model (`laser.results.loading.load_reductions`); effective_rank does not depend on
            ρ, so one record per layer and matrix is used.
        stem: output path without suffix; writes <stem>.svg, .pdf and .csv.

    Returns:
        model, matrix, layer and effective_rank (a number of components), a row per matrix and layer.

    Raises:
        UserError: the records belong to several models, or lack effective ranks.
    """
    if "effective_rank" not in reductions.columns or reductions["model"].nunique() != 1:
        raise UserError("fig7: needs reduction records of one model with the key 'effective_rank'. Run `reduce` again.")
    data = reductions[["model", "matrix", "layer", "effective_rank"]].drop_duplicates(["matrix", "layer"])
    order = {name: position for position, name in enumerate(MATRIX_LABELS)}
    keys = data["matrix"].map(lambda name: order.get(name, len(order)))
    data = data.assign(key=keys).sort_values(["key", "layer"], ignore_index=True).drop(columns="key")
    matrices = list(dict.fromkeys(data["matrix"]))
    with figure(1, 1, len(matrices)) as (made, (axis,)):
        for number, matrix in enumerate(matrices):
            of_matrix = data[data["matrix"] == matrix]
            label = MATRIX_LABELS.get(matrix, matrix)
            axis.plot(of_matrix["layer"], of_matrix["effective_rank"], label=label, **style.line(number, len(matrices)))
        axis.set_ylabel("effective rank, components")
        low, high = float(data["effective_rank"].min()), float(data["effective_rank"].max())
        shown = max(1.1 * (high - low), LEAST_SHOWN * high)
        axis.set_ylim((low + high - shown) / 2, (low + high + shown) / 2)
        layer_axis(axis, data["layer"])
        title(made, f"{data['model'].iloc[0]}: effective rank by layer")
        legend(made, "matrix")
        save(made, data, stem)
    return data
