"""Figure 9: the largest benefit that any intervention in a layer brings, by layer, for each dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis import style
from laser.analysis.style import figure, layer_axis, legend, save, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.errors import UserError

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig9",
    kind="figure",
    title="Figure 9",
    about="largest benefit by layer, for each dataset",
    reads=("base", "sweep", "selection"),
    cells=drawn_cells,
    pictures="{model}/{protocol}",
    texts=("model", "dataset", "protocol", "matrix"),
    resampled=False,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cells = [cell for cell in study.cells if cell[0] == picture.model]
    chosen = {cell: study.selection_of(cell, picture.protocol)["chosen"] for cell in cells}
    fig9([study.sweep(cell) for cell in cells], chosen, picture.protocol, stem)


COLUMNS = (
    *("model", "dataset", "protocol", "layer", "matrix", "rho", "n", "accuracy", "base_accuracy", "benefit"),
    *("loss", "base_loss", "chosen"),
)
"""Columns of the CSV: the best intervention of each layer; accuracies in percent, benefit in points, losses in nats;
`chosen` is True if selection chose it."""


def fig9_data(
    cells: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    chosen: Mapping[tuple[str, str], Mapping[str, Any] | None],
    protocol: str,
) -> pd.DataFrame:
    """Return the best intervention of every layer, for every dataset of one model.

    The best intervention of a layer is the one that selection would choose there: highest validation accuracy, with
    ties broken by lower loss, then by smaller ρ. As the largest of many values, the benefit is biased upwards: without
    any effect it would still tend to lie above zero.

    Args:
        cells: (swept, base) of each dataset (`laser.results.averages.load_sweep`).
        chosen: maps (model, dataset) to what selection chose under this protocol (matrix, layer, rho); None for base.
        protocol: `published` or `corrected`.

    Returns:
        A frame with the columns `COLUMNS`.

    Raises:
        UserError: a cell has no results under that protocol.
    """
    parts = []
    for swept, base in cells:
        protocol_rows = swept[swept["protocol"] == protocol]
        reference = base[base["protocol"] == protocol]
        if protocol_rows.empty or reference.empty:
            known = ", ".join(sorted(set(swept["protocol"])))
            raise UserError(f"fig9: a sweep holds no rows of the protocol '{protocol}'. It holds: {known}.")
        finite = protocol_rows["loss"].where(protocol_rows["loss"].map(math.isfinite), math.inf)
        ordered = protocol_rows.assign(loss=finite).sort_values(
            ["accuracy", "loss", "rho", "matrix"], ascending=[False, True, True, True], kind="stable"
        )
        best = ordered.drop_duplicates("layer").sort_values("layer")
        best["base_accuracy"] = float(reference["accuracy"].iloc[0])
        best["base_loss"] = float(reference["loss"].iloc[0])
        best["benefit"] = best["accuracy"] - best["base_accuracy"]
        selected = chosen.get((best["model"].iloc[0], best["dataset"].iloc[0]))
        best["chosen"] = best["layer"] == (selected["layer"] if selected else None)
        parts.append(best[list(COLUMNS)])
    return pd.concat(parts, ignore_index=True)


def fig9(
    cells: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    chosen: Mapping[tuple[str, str], Mapping[str, Any] | None],
    protocol: str,
    stem: Path | str,
) -> pd.DataFrame:
    """Draw the largest benefit by layer for one model, a line per dataset, a ring around each chosen layer."""
    data = fig9_data(cells, chosen, protocol)
    datasets = list(dict.fromkeys(data["dataset"]))
    with figure(1, 1, len(datasets) + 2) as (made, (axis,)):
        axis.axhline(0, color="black", linestyle="--", linewidth=1, label="base", zorder=1)
        for number, dataset in enumerate(datasets):
            of_dataset = data[data["dataset"] == dataset]
            look = style.line(number, len(datasets))
            label = f"{dataset}, {style.rows(of_dataset['n'].iloc[0])}"
            axis.plot(of_dataset["layer"], of_dataset["benefit"], label=label, **look)
        taken = data[data["chosen"]]
        if not taken.empty:
            ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.1}
            axis.scatter(taken["layer"], taken["benefit"], s=70, label="chosen", zorder=4, **ring)
        axis.set_ylabel("largest gain in accuracy, points")
        layer_axis(axis, data["layer"])
        title(made, f"{data['model'].iloc[0]}: best intervention of each layer, validation rows, {protocol} protocol")
        legend(made)
        save(made, data, stem)
    return data
