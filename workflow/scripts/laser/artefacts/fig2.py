"""Figure 2: change of the validation loss when one matrix of one layer is reduced, by matrix, layer and reduction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis import style
from laser.analysis.style import MARKERS, MATRIX_LABELS, figure, layer_axis, legend, percentages, save, shades, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.errors import UserError
from laser.paper.published import fig2_range_of

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def landscaped_cells(plan: Plan) -> list[tuple[str, str]]:
    """Return the drawn cells that have a landscape."""
    return [cell for cell in drawn_cells(plan) if cell in plan.cells_of("landscape")]


def reduced_cells(plan: Plan) -> list[tuple[str, str]]:
    """Return the drawn cells whose landscape includes rank reductions, of which it has more than the sweep."""
    return landscaped_cells(plan) if "svd" in plan.study.get("landscape", {}).get("kinds", ()) else []


def swept_cells(plan: Plan) -> list[tuple[str, str]]:
    """Return the other drawn cells, which are drawn from the sweep."""
    return [cell for cell in drawn_cells(plan) if cell not in reduced_cells(plan)]


ARTEFACT = Artefact(
    name="fig2",
    kind="figure",
    title="Figure 2",
    about="change of the validation loss by layer, matrix and reduction",
    reads=("base",),
    cells=drawn_cells,
    also_reads={"sweep": swept_cells, "landscape": reduced_cells},
    texts=("model", "dataset", "protocol", "matrix"),
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = (picture.model, picture.dataset)
    averages = study.landscape(cell) if cell in study.cells_of("landscape") else study.sweep(cell)
    fig2(*averages, stem, picture.protocol, fig2_range_of(*cell))


Range = Mapping[str, Sequence[tuple[int, float, float]]]

KINDS = {
    "svd": "rank reduction",
    "pruning": "magnitude pruning",
    "smallest": "only the smallest singular values kept",
    "clustered": "clusters of rows, each reduced on its own",
}
"""What each kind of intervention does to the matrix, for titles."""


def draw_landscape(kind: str, study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture of the given kind of intervention from a study's landscape."""
    fig2(*study.landscape((picture.model, picture.dataset)), stem, picture.protocol, kind=kind)


def lacking_kind(kind: str, study: Mapping[str, Any]) -> str:
    """Return, in words, what a study lacks for a picture of this kind."""
    return "" if kind in study["landscape"]["kinds"] else f"'{kind}' among landscape.kinds"


def fig2_data(swept: pandas.DataFrame, base: pandas.DataFrame, protocol: str, kind: str = "svd") -> pandas.DataFrame:
    """Return the numbers behind Figure 2 or, for another kind of intervention, a similar figure.

    Args:
        swept: averages of one model and dataset per intervention (`laser.results.averages.load_sweep`, which holds
            only rank reductions, or `laser.results.averages.load_landscape`, which has a column `kind`).
        base: averages of the unmodified model, from the same call.
        protocol: `published` or `corrected`.
        kind: one of `KINDS`.

    Returns:
        A frame with model, dataset, protocol, kind, matrix, layer, rho, removed_percent (100·(1 − ρ)), n, loss,
        base_loss, difference (nats per answer token), accuracy, base_accuracy (percent).

    Raises:
        UserError: there are no interventions of that kind under that protocol.
    """
    swept = swept if "kind" in swept.columns else swept.assign(kind="svd")
    of_kind = swept[(swept["protocol"] == protocol) & (swept["kind"] == kind)]
    reference = base[base["protocol"] == protocol]
    if of_kind.empty or reference.empty:
        known = ", ".join(sorted(set(swept["protocol"])))
        kinds = ", ".join(sorted(set(swept["kind"])))
        raise UserError(
            f"fig2: the sweep holds no rows of kind '{kind}' under the protocol '{protocol}'. "
            f"It holds: {known}; kinds: {kinds}."
        )
    data = of_kind[["model", "dataset", "protocol", "kind", "matrix", "layer", "rho"]].copy()
    data["removed_percent"] = (100 * (1 - data["rho"])).round(9)
    data["n"] = of_kind["n"]
    data["loss"] = of_kind["loss"]
    data["base_loss"] = float(reference["loss"].iloc[0])
    data["difference"] = data["loss"] - data["base_loss"]
    data["accuracy"] = of_kind["accuracy"]
    data["base_accuracy"] = float(reference["accuracy"].iloc[0])
    order = {name: position for position, name in enumerate(MATRIX_LABELS)}
    keys = data["matrix"].map(lambda name: order.get(name, len(order)))
    return data.assign(key=keys).sort_values(["key", "rho", "layer"], ignore_index=True).drop(columns="key")


def fig2(
    swept: pandas.DataFrame,
    base: pandas.DataFrame,
    stem: Path | str,
    protocol: str = "corrected",
    published_range: Range | None = None,
    kind: str = "svd",
) -> pandas.DataFrame:
    """Draw Figure 2 for one model and dataset, the loss minus that of base: a panel per matrix, a line per rho.

    `published_range`, (layer, lowest, highest loss) in the paper's figure by matrix, is drawn as a grey band.
    """
    data = fig2_data(swept, base, protocol, kind)
    matrices = list(dict.fromkeys(data["matrix"]))
    rhos = sorted(set(data["rho"]), reverse=True)
    reductions = percentages([100 * (1 - rho) for rho in rhos])
    columns = min(3, len(matrices))
    with figure(columns, math.ceil(len(matrices) / columns), len(rhos) + 2) as (made, axes):
        for axis, matrix in zip(axes, matrices, strict=False):
            if axis is not axes[0]:
                axis.sharey(axes[0])
            panel = data[data["matrix"] == matrix]
            band = (published_range or {}).get(matrix)
            if band:
                layers, *ends = zip(*band, strict=True)
                low, high = ([loss - data["base_loss"].iloc[0] for loss in losses] for losses in ends)
                axis.fill_between(layers, low, high, color="0.88", linewidth=0, label="range in the paper", zorder=0)
            for number, (rho, colour) in enumerate(zip(rhos, shades(len(rhos)), strict=True)):
                line = panel[panel["rho"] == rho].sort_values("layer")
                axis.plot(
                    line["layer"],
                    line["difference"],
                    color=colour,
                    marker=MARKERS[number % len(MARKERS)],
                    label=f"{reductions[number]} %  (ρ = {rho:g})",
                )
            style.changes_from_base(axis, data["difference"])
            axis.set_title(MATRIX_LABELS.get(matrix, matrix))
            axis.set_ylabel("change in loss, nats per token")
            layer_axis(axis, {*panel["layer"], *(layer for layer, *_ in band or ())})
        first = data.iloc[0]
        what = f"{first['model']} on {first['dataset']}: change of validation loss, {KINDS[kind]}"
        title(made, f"{what}, {protocol} protocol, {style.rows(first['n'])}")
        for axis in axes[len(matrices) :]:
            axis.remove()
        legend(made, "reduction")
        save(made, data, stem)
    return data
