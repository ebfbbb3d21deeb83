"""Figure 8: top-1, top-5 and top-10 accuracy against the amount of reduction, for one matrix of one layer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis import style
from laser.analysis.style import LINES, MARKERS, figure, legend, percentages, save, shades, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.errors import UserError

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig8",
    kind="figure",
    title="Figure 8",
    about="top-1, top-5 and top-10 accuracy against the reduction",
    reads=("base", "sweep", "selection"),
    cells=drawn_cells,
    texts=("model", "dataset", "protocol", "matrix"),
    resampled=False,
    not_for_policies="there are four actions",
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = (picture.model, picture.dataset)
    selection = study.selection_of(cell, picture.protocol)
    shown = selection["chosen"] or selection["candidates"][0]
    swept, base = study.sweep(cell, shown["layer"])
    chosen = shown["rho"] if selection["chosen"] else None
    fig8(swept, base, picture.protocol, shown["matrix"], shown["layer"], stem, chosen)


TOP = (1, 5, 10)


def fig8(
    swept: pandas.DataFrame,
    base: pandas.DataFrame,
    protocol: str,
    matrix: str,
    layer: int,
    stem: Path | str,
    chosen: float | None = None,
) -> pandas.DataFrame:
    """Draw how often the answer's first token is among the k most probable, by ρ, at one matrix of one layer.

    The reductions are evenly spaced, so that the strong ones, where accuracy changes, can be told apart.

    Args:
        swept: averages of one model and dataset (`laser.results.averages.load_sweep`).
        base: averages of the unmodified model, from the same call.
        protocol: `published` or `corrected`.
        matrix: matrix of the chosen intervention.
        layer: layer of the chosen intervention.
        stem: output path without suffix; writes <stem>.svg, .pdf and .csv.
        chosen: the chosen ρ, marked by a vertical line; None if selection kept the base model.

    Returns:
        A frame with model, dataset, protocol, matrix, layer, rho, removed_percent, n, first_top1, first_top5,
        first_top10 and, with the prefix base_, the same for base (percent), largest ρ first.

    Raises:
        UserError: the sweep does not have the matrix at that layer.
    """
    keep = (swept["protocol"] == protocol) & (swept["matrix"] == matrix) & (swept["layer"] == layer)
    if not keep.any():
        raise UserError(f"fig8: the sweep holds no rows of protocol '{protocol}', matrix '{matrix}', layer {layer}.")
    names = [f"first_top{k}" for k in TOP]
    data = swept.loc[keep, ["model", "dataset", "protocol", "matrix", "layer", "rho"]].copy()
    data["removed_percent"] = (100 * (1 - data["rho"])).round(9)
    data[["n", *names]] = swept.loc[keep, ["n", *names]]
    reference = base[base["protocol"] == protocol].iloc[0]
    for name in names:
        data[f"base_{name}"] = float(reference[name])
    data = data.sort_values("rho", ascending=False, ignore_index=True)
    places = {rho: number for number, rho in enumerate(data["rho"])}
    with figure(1, 1, 2 * len(TOP) + 2) as (made, (axis,)):
        for number, (k, colour) in enumerate(zip(TOP, shades(len(TOP)), strict=True)):
            look: dict[str, Any] = {"color": colour, "linestyle": LINES[number]}
            axis.plot(
                list(places.values()), data[f"first_top{k}"], marker=MARKERS[number], label=f"top {k}, reduced", **look
            )
            axis.axhline(data[f"base_first_top{k}"].iloc[0], linewidth=0.8, label=f"top {k}, base", **look)
        if chosen is not None:
            axis.axvline(places[chosen], color="0.6", linewidth=3, alpha=0.5, zorder=0, label="chosen")
        every = math.ceil(len(places) / style.LABELLED)
        axis.set_xticks(range(len(places)), minor=True)
        axis.set_xticks(range(0, len(places), every), percentages(list(data["removed_percent"]))[::every])
        axis.margins(x=0.04)
        axis.set_xlabel("reduction 100·(1 − ρ), %")
        axis.set_ylabel("answer's first token in top k, %")
        first = data.iloc[0]
        kept = "" if chosen is not None else " (best candidate; base was kept)"
        what = f"{first['model']} on {first['dataset']}: {style.matrix_of_layer(matrix, layer)}{kept}, validation rows"
        title(made, f"{what}, {protocol} protocol, {style.rows(first['n'])}")
        legend(made)
        save(made, data, stem)
    return data
