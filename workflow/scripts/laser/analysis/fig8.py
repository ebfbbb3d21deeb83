"""Figure 8: top-1, top-5 and top-10 accuracy against the amount of reduction, for one matrix of one layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.style import LINES, MARKERS, MATRIX_LABELS, figure, save, shades
from laser.errors import UserError

if TYPE_CHECKING:
    import pandas

TOP = (1, 5, 10)


def fig8(
    swept: pandas.DataFrame, base: pandas.DataFrame, protocol: str, matrix: str, layer: int, stem: Path | str
) -> pandas.DataFrame:
    """Draw how often the answer's first token is among the k most probable, against ρ.

    Args:
        swept: averages of one model and dataset (`laser.analysis.loading.load_sweep`).
        base: averages of the unmodified model, from the same call; drawn without markers.
        protocol: `published` or `corrected`.
        matrix: of the chosen intervention.
        layer: of the chosen intervention.
        stem: path without ending; writes <stem>.svg, .pdf and .csv.

    Returns:
        model, dataset, protocol, matrix, layer, rank, reduction_percent, n, first_top1, first_top5, first_top10 and
        the same of base with the prefix base_ (percent).

    Raises:
        UserError: the sweep does not hold the matrix at that layer.
    """
    keep = (swept["protocol"] == protocol) & (swept["matrix"] == matrix) & (swept["layer"] == layer)
    if not keep.any():
        raise UserError(f"fig8: the sweep holds no rows of protocol '{protocol}', matrix '{matrix}', layer {layer}.")
    names = [f"first_top{k}" for k in TOP]
    data = swept.loc[keep, ["model", "dataset", "protocol", "matrix", "layer", "rank"]].copy()
    data["reduction_percent"] = (100 * (1 - data["rank"])).round(9)
    data[["n", *names]] = swept.loc[keep, ["n", *names]]
    reference = base[base["protocol"] == protocol].iloc[0]
    for name in names:
        data[f"base_{name}"] = float(reference[name])
    data = data.sort_values("rank", ascending=False, ignore_index=True)
    with figure(1, 1, 2 * len(TOP)) as (made, (axis,)):
        for number, (k, colour) in enumerate(zip(TOP, shades(len(TOP)), strict=True)):
            name = names[number]
            style: dict[str, Any] = {"color": colour, "linestyle": LINES[number]}
            axis.plot(data["rank"], data[name], marker=MARKERS[number], label=f"top {k}, reduced", **style)
            axis.axhline(float(reference[name]), linewidth=0.8, label=f"top {k}, base", **style)
        axis.set_xscale("log")
        axis.set_xticks(list(data["rank"]), [f"{rank:g}" for rank in data["rank"]], rotation=60)
        axis.minorticks_off()
        axis.invert_xaxis()
        axis.set_xlabel("ρ, kept fraction of the maximum rank")
        axis.set_ylabel("answer's first token in top k, %")
        first = data.iloc[0]
        axis.set_title(f"{first['model']} on {first['dataset']}, {MATRIX_LABELS.get(matrix, matrix)}, layer {layer}")
        made.legend(loc="outside right upper")
        save(made, data, stem)
    return data
