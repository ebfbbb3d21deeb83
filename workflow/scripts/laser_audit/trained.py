"""The gain of trained models by the noise of their corpus and by their depth, computed anew from test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from laser_audit.cells import Tested, compared, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.numbers import mean
from laser_audit.reading import Study, asked

FACTS = ("family", "noise", "layers", "seed")
NOISE = (
    *("dataset", "protocol", "row", "trained_model", *FACTS, "seeds", "n"),
    *("base_accuracy", "laser_accuracy", "gain", "gain_low", "gain_high", "matrix", "layer", "rho"),
)
CONFIDENCE = 0.95


@asked("noise")
def check_noise(check: Check, study: Study) -> None:
    """Compare the data of the figure of noise and depth: every model's gain, and the mean over seeds."""
    facts = _facts(study)
    for dataset in dict.fromkeys(dataset for _, dataset in study.cells()):
        for protocol in study.protocols:
            path = f"figures/noise/{dataset}/{protocol}.csv"
            with check.guarded(path):
                own = [model for model, other in study.cells() if other == dataset and model in facts]
                models = [_model(study, tested(study, model, dataset, protocol), facts[model]) for model in own]
                rows = models + _means(models)
                compare_table(check, study, path, rows, ("row", "trained_model", "family", "noise", "layers"), NOISE)


def _facts(study: Study) -> dict[str, Row]:
    """Return family, noise level, depth and seed of every language model that the study trains."""
    found = {}
    for entry in study.settings["models"]:
        source = entry["source"]
        if "corpus" in source:
            level = float(source["corpus"]["noise"]["level"])
            values = (source["family"], level, int(source["layers"]), int(source["training"]["seed"]))
            found[entry["name"]] = dict(zip(FACTS, values, strict=True))
    return found


def _model(study: Study, cell: Tested, known: Row) -> Row:
    both = [cell.values(arm, "correct") for arm in ("base", "laser")]
    change = compared(both[0], both[1], cell.groups, (*cell.name, "noise"), True, *study.sampling)
    row: Row = {"dataset": cell.dataset, "protocol": cell.protocol, "row": "model", "trained_model": cell.model}
    row |= known | {"seeds": 1, "n": change["n"], "base_accuracy": change["base"], "laser_accuracy": change["laser"]}
    row |= {f"gain{end}": change[f"difference{end}"] for end in ("", "_low", "_high")}
    return row | cell.place


def _means(models: Sequence[Row]) -> list[Row]:
    """Return the mean over the seeds of one family, noise level and depth, with the t interval of several."""
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for one in models:
        alike.setdefault((one["family"], one["noise"], one["layers"]), []).append(one)
    rows = []
    for (family, noise, layers), own in sorted(alike.items()):
        gains = [one["gain"] for one in own]
        half = t_half_width(gains)
        row: Row = {"dataset": own[0]["dataset"], "protocol": own[0]["protocol"], "row": "mean", "trained_model": ""}
        row |= {"family": family, "noise": noise, "layers": layers, "seed": None, "seeds": len(own)}
        row |= {"n": max(one["n"] for one in own), "gain": mean(gains)}
        row |= {name: mean([one[name] for one in own]) for name in ("base_accuracy", "laser_accuracy")}
        row |= {"gain_low": row["gain"] - half, "gain_high": row["gain"] + half}
        rows.append(row | {"matrix": "", "layer": None, "rho": None})
    return rows


def t_half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % t interval of a mean; NaN for a lone value."""
    n = len(values)
    if n < 2:
        return math.nan
    middle = math.fsum(values) / n
    variance = math.fsum((value - middle) ** 2 for value in values) / (n - 1)
    return t_quantile(n - 1) * math.sqrt(variance / n)


def t_quantile(freedom: int) -> float:
    """Return the t within ± of which 95 % of Student's distribution lies, by bisection."""
    low, high = 0.0, 1.0
    while _t_inside(high, freedom) < CONFIDENCE:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, freedom) < CONFIDENCE else (low, middle)
    return high


def _t_inside(t: float, freedom: int) -> float:
    """Return the probability within ± t: the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    square, odd = math.cos(angle) ** 2, freedom % 2
    # Terms of the sum: each is the one before times cos² times a ratio of neighbouring whole numbers.
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for place in range(1 + odd, freedom, 2):
        total += term
        term *= square * place / (place + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
