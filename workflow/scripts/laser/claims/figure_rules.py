"""The rules of `laser.claims.claims` for figures: functions of the data behind a study's pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from laser.analysis.clusters import spread
from laser.analysis.comparison import difference_bounds, with_interval
from laser.analysis.frequency import TOLD
from laser.analysis.tables import integer, number, p_value
from laser.claims.findings import (
    SUPPORTED,
    UNDECIDED,
    Artefacts,
    Comparison,
    Effect,
    by_bounds,
    by_margin,
    by_test,
    cells,
    verdict_of,
)
from laser.claims.nulls import blocked_correlation, rank_correlation, trend
from laser.config.protocols import SIGNIFICANCE
from laser.config.rules import rules

MLP = ("u_in", "u_gate", "u_out")
ATTENTION = ("q", "k", "v", "o")
MINIMUM_LAYERS = 4
WHOLE = 100.0


def early_layers(made: Artefacts) -> Iterator[Comparison]:
    """Judge where Figure 2 has its highest and lowest losses."""
    for where, matrix, panel in _panels(made["fig2"], MLP):
        middle = (panel["layer"].min() + panel["layer"].max()) / 2
        slope, chance = trend(list(panel.groupby("layer")["difference"].max()))
        high, low = panel.iloc[int(panel["difference"].argmax())], panel.iloc[int(panel["difference"].argmin())]
        text = (
            f"{matrix}: highest loss {number(high['difference'], 3, True)} nats at layer {integer(high['layer'])}, "
            f"lowest {number(low['difference'], 3, True)} at layer {integer(low['layer'])}, correlation of the highest "
            f"loss with the layer {number(slope, 2)}, p {p_value(chance)}, n = {integer(panel['n'].iloc[0])}"
        )
        margin = rules().margins.loss
        clear = chance < SIGNIFICANCE and high["difference"] >= margin and low["difference"] <= -margin
        falls, rises = slope < 0 and low["layer"] > middle, slope > 0 and low["layer"] < middle
        verdict = verdict_of(clear and falls, clear and rises)
        yield Comparison(where, text, verdict)


def attention(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether reducing attention matrices changes the loss less than reducing those of the MLP."""
    largest: dict[str, dict[str, float]] = {}
    for where, matrix, panel in _panels(made["fig2"], (*MLP, *ATTENTION)):
        largest.setdefault(where, {})[matrix] = float(panel["difference"].abs().max())
    for where, changes in largest.items():
        inner = {name: value for name, value in changes.items() if name in ATTENTION}
        outer = {name: value for name, value in changes.items() if name in MLP}
        if not inner or not outer:
            continue
        text = ", ".join(f"{name} {number(value, 2)}" for name, value in changes.items())
        share = rules().attention
        verdict = verdict_of(
            max(inner.values()) <= share * min(outer.values()), max(outer.values()) <= share * min(inner.values())
        )
        yield Comparison(where, f"largest change of the loss, nats: {text}", verdict)


def rare_facts(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether a larger share of wrong answers is corrected in the rarest bin than in the most frequent one."""
    for where, every_bin in cells(made["fig3c"]):
        # Noise that falls with frequency makes facts that are told rightly rare by itself, so bins by how often a fact
        # is told at all are judged where they are known.
        told = every_bin[every_bin["frequency_from"] == TOLD]
        cell = told if len(told) else every_bin
        rare, common = cell.iloc[int(cell["lowest"].argmin())], cell.iloc[int(cell["lowest"].argmax())]
        if len(cell) < 2:
            continue
        text = "; ".join(
            f"{row['bin']} ({row['frequency_from']}): {with_interval(row, 1, 'corrected_share') or 'no'} % of wrong "
            f"rows corrected, net {with_interval(row, 1, 'net', sign=True)} points, the paper's ratio "
            f"{with_interval(row, 2, 'corrected_ratio') or 'none'}, n = {integer(row['n'])}"
            for row in (rare, common)
        )
        low, high = difference_bounds(rare, common, "corrected_share")
        margin, change = rules().frequency, rare["corrected_share"] - common["corrected_share"]
        difference = Effect(change, low, high, "points", supports=margin, contradicts=-margin)
        yield Comparison(where, text, by_bounds(low - margin, high + margin), difference)


def higher_order(made: Artefacts) -> Iterator[Comparison]:
    """Judge the effect of the smallest components on answers, compared with no components at all."""
    for where, cell in cells(made["fig5b"]):
        part = cell[(cell["percent"] > 0) & (cell["percent"] < WHOLE)].sort_values("percent")
        none = cell[cell["percent"] == 0]
        if part.empty:
            continue
        most, margin, verdict, change = part.iloc[-1], rules().components, UNDECIDED, None
        text = (
            f"{most['percent']:g} % of the components kept: {with_interval(most, 1, 'accuracy')} % right; none kept: "
        )
        text += f"{with_interval(none.iloc[0], 1, 'accuracy')} %" if len(none) else "not evaluated"
        if len(none):
            low, high = difference_bounds(most, none.iloc[0], "accuracy")
            verdict = by_bounds(-high - margin, -low + margin)
            value = most["accuracy"] - none.iloc[0]["accuracy"]
            change = Effect(value, low, high, "points", rises=False, supports=-margin, contradicts=margin)
        yield Comparison(where, f"{text}, n = {integer(most['n'])}", verdict, change)


def effective_rank(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether later layers have a lower effective rank."""
    for (model, matrix), layers in made["fig7"].groupby(["model", "matrix"], sort=False):
        middle = (layers["layer"].min() + layers["layer"].max()) / 2
        early = layers.loc[layers["layer"] < middle, "effective_rank"].mean()
        late = layers.loc[layers["layer"] > middle, "effective_rank"].mean()
        if matrix not in MLP or math.isnan(early) or math.isnan(late):
            continue
        slope, chance = trend(list(layers.sort_values("layer")["effective_rank"]))
        text = (
            f"{matrix}: mean {number(early, 2)} before the middle layer, {number(late, 2)} beyond; correlation with "
            f"the layer {number(slope, 2)}, p {p_value(chance)}, {len(layers)} layers"
        )
        change = (early - late) / max(early, late)
        same = (early - late) * slope < 0
        verdict = by_test(change, chance, rules().effective_rank) if same else UNDECIDED
        yield Comparison(str(model), text, verdict)


def pruning(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether pruning and rank reduction help in the same layers."""
    reduced = {(where, matrix): panel for where, matrix, panel in _panels(made["fig2"], MLP)}
    pruned = made["fig10"]
    for where, matrix, panel in _panels(pruned[pruned["kind"] == "pruning"], MLP):
        if (where, matrix) not in reduced:
            continue
        lowest = pd.concat(
            [losses.groupby("layer")["difference"].min() for losses in (reduced[where, matrix], panel)], axis=1
        ).dropna()
        if len(lowest) < MINIMUM_LAYERS:
            yield Comparison(where, f"{matrix}: {len(lowest)} layers", UNDECIDED)
            continue
        value, chance = rank_correlation(lowest.iloc[:, 0].to_numpy(), lowest.iloc[:, 1].to_numpy())
        verdict = by_test(value, chance, rules().pattern)
        text = f"{matrix}: Spearman's correlation {number(value, 2)}, p {p_value(chance)} over {len(lowest)} layers"
        yield Comparison(where, f"{text}, n = {integer(panel['n'].iloc[0])} rows", verdict)


def noise(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether the gain grows with the noise of the corpus, up to the noisiest one."""
    frame = made["noise"]
    keys = ["family", "layers", "dataset", "protocol"]
    for (family, layers, dataset, protocol), models in frame[frame["row"] == "model"].groupby(keys, sort=False):
        if models["noise"].nunique() < 3:
            continue
        # Models of one seed share a corpus except for its noise, so the independent units are seeds.
        blocks = [(part["noise"].to_numpy(), part["gain"].to_numpy()) for _, part in models.groupby("corpus_seed")]
        value, chance = blocked_correlation(blocks)
        means = models.groupby("noise")["gain"].mean()
        fall = float(means.max() - means.iloc[-1])
        spreads = [_spread(part) for _, part in models.groupby("noise")]
        text = (
            f"{family}, {integer(layers)} layers: mean Spearman's correlation {number(value, 2)} within {len(blocks)} "
            f"seeds, p {p_value(chance)}, {len(models)} models, {models['noise'].nunique()} noise levels; mean gains "
            f"{', '.join(f'{number(gain, 1, True)} at {level:g}' for level, gain in means.items())}; "
            f"standard deviation between the true gains of models of one level: {', '.join(spreads)}"
        )
        verdict = by_test(value, chance) if not math.isnan(value) else UNDECIDED
        if verdict == SUPPORTED and fall >= rules().margins.accuracy:
            verdict = UNDECIDED
        yield Comparison(f"{dataset}, {protocol}", text, verdict)


def no_noise(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether models whose corpus has no noise are unchanged: each has to be equivalent to its base."""
    frame = made["noise"]
    clean = frame[(frame["row"] == "model") & (frame["noise"] == 0)]
    for (family, layers, dataset, protocol), models in clean.groupby(["family", "layers", "dataset", "protocol"]):
        gains = ", ".join(with_interval(row, 1, "gain", sign=True) for row in models.to_dict("records"))
        text = (
            f"{family}, {integer(layers)} layers: gains of {len(models)} models {gains} points, standard deviation "
            f"between true gains {_spread(models)}, n = {integer(models['n'].iloc[0])}"
        )
        verdict = by_margin(models["gain_low"], models["gain_high"], rules().margins.accuracy)
        yield Comparison(f"{dataset}, {protocol}", text, verdict)


def _spread(models: pd.DataFrame) -> str:
    """Format the standard deviation between the true gains of models, with its 95 % interval; empty for one model."""
    from scipy.stats import norm

    # The standard errors are derived from the widths of the models' intervals.
    errors = (models["gain_high"] - models["gain_low"]).to_numpy(dtype=np.float64) / (2 * norm.ppf(0.975))
    value, low, high = spread(models["gain"].to_numpy(dtype=np.float64), np.diag(errors**2))
    return "of one model unknown" if math.isnan(value) else f"{number(value, 1)} [{number(low, 1)}, {number(high, 1)}]"


def _panels(frame: pd.DataFrame, matrices: tuple[str, ...]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return (cell, matrix, rows with a finite loss) for the given matrices of a figure with the layout of Figure 2."""
    finite = frame[frame["matrix"].isin(matrices) & frame["difference"].abs().lt(math.inf)]
    return [
        (where, str(matrix), part)
        for where, cell in cells(finite)
        for matrix, part in cell.groupby("matrix", sort=False)
        if part["layer"].nunique() > 1
    ]
