"""The rules of `laser.claims.claims` on figures: functions of the data behind a study's pictures."""

from __future__ import annotations

import math

import pandas as pd

from laser.analysis.comparison import with_interval
from laser.analysis.tables import integer, number, p_value
from laser.claims.findings import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Artefacts,
    Comparison,
    by_bounds,
    by_sign,
    by_test,
    cells,
)

MLP = ("u_in", "u_gate", "u_out")
ATTENTION = ("q", "k", "v", "o")
SIMILAR, MINIMUM_LAYERS = 0.5, 4


def early_layers(made: Artefacts) -> list[Comparison]:
    """Judge where Figure 2 has its highest and lowest losses."""
    comparisons = []
    for where, matrix, panel in _panels(made["fig2"], MLP):
        middle = (panel["layer"].min() + panel["layer"].max()) / 2
        high, low = panel.iloc[int(panel["difference"].argmax())], panel.iloc[int(panel["difference"].argmin())]
        text = (
            f"{matrix}: highest loss {number(high['difference'], 3, True)} nats at layer {integer(high['layer'])}, "
            f"lowest {number(low['difference'], 3, True)} at layer {integer(low['layer'])}, "
            f"n = {integer(panel['n'].iloc[0])}"
        )
        verdict = UNDECIDED
        if high["layer"] < middle < low["layer"] and low["difference"] < 0:
            verdict = SUPPORTED
        elif low["layer"] < middle < high["layer"]:
            verdict = CONTRADICTED
        comparisons.append(Comparison(where, text, verdict))
    return comparisons


def attention(made: Artefacts) -> list[Comparison]:
    """Judge whether attention matrices change the loss less than those of the MLP."""
    largest: dict[str, dict[str, float]] = {}
    for where, matrix, panel in _panels(made["fig2"], (*MLP, *ATTENTION)):
        largest.setdefault(where, {})[matrix] = float(panel["difference"].abs().max())
    comparisons = []
    for where, changes in largest.items():
        inner = {name: value for name, value in changes.items() if name in ATTENTION}
        outer = {name: value for name, value in changes.items() if name in MLP}
        if not inner or not outer:
            continue
        text = ", ".join(f"{name} {number(value, 2)}" for name, value in changes.items())
        verdict = UNDECIDED
        if max(inner.values()) < min(outer.values()):
            verdict = SUPPORTED
        elif min(inner.values()) > max(outer.values()):
            verdict = CONTRADICTED
        comparisons.append(Comparison(where, f"largest change of the loss, nats: {text}", verdict))
    return comparisons


def rare_facts(made: Artefacts) -> list[Comparison]:
    """Judge whether the rarest bin has the larger ratio of corrected answers."""
    comparisons = []
    for where, cell in cells(made["fig3c"]):
        rare, common = cell.iloc[int(cell["lowest"].argmin())], cell.iloc[int(cell["lowest"].argmax())]
        if len(cell) < 2:
            continue
        text = "; ".join(
            f"{row['bin']} ({row['frequency_from']}): {integer(row['corrected'])} corrected, "
            f"{integer(row['right_before'])} right before, ratio {with_interval(row, 2, 'corrected_ratio') or 'none'}, "
            f"n = {integer(row['n'])}"
            for row in (rare, common)
        )
        verdict = UNDECIDED
        if rare["corrected_ratio_low"] > common["corrected_ratio_high"]:
            verdict = SUPPORTED
        elif rare["corrected_ratio_high"] < common["corrected_ratio_low"]:
            verdict = CONTRADICTED
        comparisons.append(Comparison(where, text, verdict))
    return comparisons


def higher_order(made: Artefacts) -> list[Comparison]:
    """Judge what the smallest components alone answer."""
    comparisons = []
    for where, cell in cells(made["fig5b"]):
        row = cell.iloc[int(cell["percent"].argmin())]
        text = f"{row['percent']:g} % of the components kept: {with_interval(row, 1, 'accuracy')} % right"
        text += f", n = {integer(row['n'])}"
        comparisons.append(Comparison(where, text, by_bounds(50 - row["accuracy_high"], 50 - row["accuracy_low"])))
    return comparisons


def effective_rank(made: Artefacts) -> list[Comparison]:
    """Judge whether later layers have the lower effective rank."""
    comparisons = []
    for (model, matrix), layers in made["fig7"].groupby(["model", "matrix"], sort=False):
        middle = (layers["layer"].min() + layers["layer"].max()) / 2
        early = layers.loc[layers["layer"] < middle, "effective_rank"].mean()
        late = layers.loc[layers["layer"] > middle, "effective_rank"].mean()
        if matrix not in MLP or math.isnan(early) or math.isnan(late):
            continue
        text = (
            f"{matrix}: mean {number(early, 2)} before the middle layer, {number(late, 2)} beyond, {len(layers)} layers"
        )
        comparisons.append(Comparison(str(model), text, by_sign(early - late)))
    return comparisons


def pruning(made: Artefacts) -> list[Comparison]:
    """Judge whether pruning and rank reduction help in the same layers."""
    reduced = {(where, matrix): panel for where, matrix, panel in _panels(made["fig2"], MLP)}
    comparisons = []
    pruned = made["fig10"]
    for where, matrix, panel in _panels(pruned[pruned["kind"] == "pruning"], MLP):
        if (where, matrix) not in reduced:
            continue
        lowest = pd.concat(
            [losses.groupby("layer")["difference"].min() for losses in (reduced[where, matrix], panel)], axis=1
        ).dropna()
        if len(lowest) < MINIMUM_LAYERS:
            comparisons.append(Comparison(where, f"{matrix}: {len(lowest)} layers", UNDECIDED))
            continue
        value = float(lowest.iloc[:, 0].rank().corr(lowest.iloc[:, 1].rank()))
        verdict = SUPPORTED if value > SIMILAR else CONTRADICTED if value < 0 else UNDECIDED
        text = f"{matrix}: Spearman's correlation {number(value, 2)} over {len(lowest)} layers"
        comparisons.append(Comparison(where, f"{text}, n = {integer(panel['n'].iloc[0])} rows", verdict))
    return comparisons


def noise(made: Artefacts) -> list[Comparison]:
    """Judge whether the gain grows with the noise of the corpus."""
    from scipy.stats import spearmanr

    frame = made["noise"]
    comparisons = []
    keys = ["family", "layers", "dataset", "protocol"]
    for (family, layers, dataset, protocol), models in frame[frame["row"] == "model"].groupby(keys, sort=False):
        if models["noise"].nunique() < 3:
            continue
        result = spearmanr(models["noise"], models["gain"])
        value, chance = float(result.statistic), float(result.pvalue)
        text = (
            f"{family}, {integer(layers)} layers: Spearman's correlation {number(value, 2)}, p {p_value(chance)}, "
            f"{len(models)} models, {models['noise'].nunique()} noise levels"
        )
        verdict = by_test(value, chance) if not math.isnan(chance) else UNDECIDED
        comparisons.append(Comparison(f"{dataset}, {protocol}", text, verdict))
    return comparisons


def _panels(frame: pd.DataFrame, matrices: tuple[str, ...]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return (cell, matrix, rows with a finite loss) for some matrices of a figure laid out as Figure 2."""
    finite = frame[frame["matrix"].isin(matrices) & frame["difference"].abs().lt(math.inf)]
    return [
        (where, str(matrix), part)
        for where, cell in cells(finite)
        for matrix, part in cell.groupby("matrix", sort=False)
        if part["layer"].nunique() > 1
    ]
