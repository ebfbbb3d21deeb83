"""Figure 7: effective rank of the matrices by layer (Roy & Vetterli 2007)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.style import LINES, MARKERS, MATRIX_LABELS, figure, save, shades, whole_layers
from laser.errors import UserError

if TYPE_CHECKING:
    import pandas


def fig7(reductions: pandas.DataFrame, stem: Path | str) -> pandas.DataFrame:
    """Draw effective rank against layer for one model, a line per matrix.

    Args:
        reductions: records of one model (`laser.analysis.loading.load_reductions`); effective_rank does not depend on
            ρ, so one record per layer and matrix is drawn.
        stem: path without ending; writes <stem>.svg, .pdf and .csv.

    Returns:
        model, matrix, layer, effective_rank, as drawn.

    Raises:
        UserError: records of several models, or without effective ranks.
    """
    if "effective_rank" not in reductions.columns or reductions["model"].nunique() != 1:
        raise UserError("fig7: needs reduction records of one model with the key 'effective_rank'. Run `reduce` anew.")
    columns = ["model", "matrix", "layer", "effective_rank"]
    data = reductions[columns].drop_duplicates(["matrix", "layer"])
    data = data.sort_values(["matrix", "layer"], ignore_index=True)
    matrices = [name for name in MATRIX_LABELS if name in set(data["matrix"])]
    with figure(1, 1, len(matrices)) as (made, (axis,)):
        for number, (matrix, colour) in enumerate(zip(matrices, shades(len(matrices)), strict=True)):
            line = data[data["matrix"] == matrix]
            style: dict[str, Any] = {
                "color": colour,
                "marker": MARKERS[number],
                "linestyle": LINES[number % len(LINES)],
            }
            axis.plot(line["layer"], line["effective_rank"], label=MATRIX_LABELS[matrix], **style)
        axis.set_ylabel("effective rank")
        axis.set_ylim(bottom=0)
        axis.set_title(data["model"].iloc[0])
        whole_layers(axis, sorted(set(data["layer"])))
        made.legend(loc="outside right upper", title="matrix")
        save(made, data, stem)
    return data
