"""LASER's gain against known properties of a trained model: the noise level of its corpus, and its depth.

The paper has no such figure. It explains its gains by noise in the corpus, which can be set for models that the
pipeline trains itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import difference
from laser.analysis.statistics import CONFIDENCE, RESAMPLES
from laser.analysis.style import LINES, MARKERS, MATRIX_LABELS, band, bars_of, figure, legend, save, shades, title
from laser.config.artefacts import Artefact
from laser.errors import UserError
from laser.results.cells import PairedCell, intervention_labels

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _facts_of_models(plan: Plan) -> dict[str, Any]:
    return {"facts": plan.model_facts()}


def _missing(study: Mapping[str, Any]) -> str:
    trained = any(model["source"]["kind"] == "trained" for model in study["models"])
    return "" if trained else "models that the pipeline trains; there is none"


ARTEFACT = Artefact(
    name="noise",
    kind="figure",
    title="Noise and depth of models whose corpus is known",
    about="gain against noise and depth, over models whose corpus is known",
    reads=("test", "selection", "rows"),
    pictures="{dataset}/{protocol}",
    texts=("dataset", "protocol", "matrix"),
    missing=_missing,
    settings=_facts_of_models,
    not_for_policies="its corpora have none",
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cells = [cell for cell in study.compared if (cell.dataset, cell.protocol) == (picture.dataset, picture.protocol)]
    noise(cells, study.spec["facts"], stem, study.seed, study.resamples)


AXES = {"noise": "noise level of the corpus", "layers": "layers of the model"}
"""Settings against which gains are drawn, one row of panels each, in this order."""

OTHER = {"noise": "layers", "layers": "noise"}
FACTS = ("family", "noise", "layers", "seed", "corpus_seed")
COLUMNS = (
    *("dataset", "protocol", "row", "trained_model", *FACTS, "seeds", "n"),
    *("base_accuracy", "laser_accuracy", "gain", "gain_low", "gain_high", "matrix", "layer", "rho"),
)
"""Columns of the CSV.

`row` is `model` or `mean`. A `model` row is one trained model: its gain in points with the 95 % interval over groups of
test rows, and what was chosen (matrix is empty if selection kept base, whose gain is 0). A `mean` row is the mean over
the models of one family, noise level and depth, with the 95 % t interval over corpora, each represented by the mean of
its models (empty for a single corpus). `family` also names the noise if it is not generic words; `seed` is the training
seed."""


def noise_data(
    cells: Sequence[PairedCell], facts: Mapping[str, Mapping[str, Any]], seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Return the gain of every trained model, and its mean over seeds.

    Args:
        cells: test results of one dataset and protocol; models that are not in `facts` are skipped.
        facts: maps a model to its family (text), noise (0 to 1), layers and seed.
        seed: seed of the study.
        resamples: number of bootstrap resamples.

    Returns:
        A frame with the columns `COLUMNS`, models first.

    Raises:
        UserError: no cell belongs to a model in `facts`.
    """
    rows = [_model(cell, facts[cell.model], seed, resamples) for cell in cells if cell.model in facts]
    if not rows:
        raise UserError("noise: no test file is of a model that the pipeline trained. Give those, or leave it out.")
    models = pd.DataFrame(rows)
    means = []
    for (family, level, layers), of_setting in models.groupby(["family", "noise", "layers"], sort=True):
        # Models trained on the same corpus are not independent.
        half = _half_width(of_setting.groupby("corpus_seed")["gain"].mean())
        mean = float(of_setting["gain"].mean())
        line = {"dataset": cells[0].dataset, "protocol": cells[0].protocol, "row": "mean", "family": family}
        line |= {"noise": level, "layers": layers, "seeds": len(of_setting), "gain": mean}
        line["n"] = int(of_setting["n"].max())
        line |= {f"{arm}_accuracy": float(of_setting[f"{arm}_accuracy"].mean()) for arm in ("base", "laser")}
        means.append(line | {"gain_low": mean - half, "gain_high": mean + half})
    frame = pd.DataFrame([*rows, *means], columns=list(COLUMNS))
    texts = {name: frame[name].fillna("") for name in ("trained_model", "matrix")}
    return frame.assign(**texts).astype(
        {name: "Int64" for name in ("seed", "corpus_seed", "seeds", "n", "layer", "layers")}
    )


def _model(cell: PairedCell, known: Mapping[str, Any], seed: int, resamples: int) -> dict[str, Any]:
    base, laser = (cell.rows[f"{arm}_correct"] for arm in ("base", "laser"))
    names = (*cell.key, "noise")
    change = difference(base, laser, list(cell.rows["group"]), names, truth=True, seed=seed, resamples=resamples)
    line: dict[str, Any] = {"dataset": cell.dataset, "protocol": cell.protocol, "row": "model"}
    line |= {"trained_model": cell.model, "seeds": 1, "n": len(cell.rows)} | {key: known[key] for key in FACTS}
    line |= {"base_accuracy": 100 * float(base.mean()), "laser_accuracy": 100 * float(laser.mean())}
    line |= {"gain": change["difference"], "gain_low": change["difference_low"], "gain_high": change["difference_high"]}
    return line | intervention_labels(cell.chosen)


def _half_width(gains: pd.Series) -> float:
    """Return half the width of the t interval of a mean; NaN for a single value."""
    from scipy.stats import t

    if len(gains) < 2:
        return math.nan
    return float(t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains)))


def series(data: pd.DataFrame, axis: str) -> list[tuple[str, Any]]:
    """Return the lines along an axis: (family, value of the other setting) that have several values along it."""
    lines = data.groupby(["family", OTHER[axis]], sort=True)[axis].nunique().reset_index()
    several = lines[lines[axis] > 1]
    return list(zip(several["family"], several[OTHER[axis]], strict=True))


def noise(
    cells: Sequence[PairedCell],
    facts: Mapping[str, Mapping[str, Any]],
    stem: Path | str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Draw gain and chosen ρ against noise level and against depth, for one dataset and protocol.

    Each line joins models that differ in only one setting: noise level within one family and depth, or depth within one
    family and noise level. A setting in which no models differ has no panels. If models differ in neither setting,
    their single points are drawn along the noise level. The data hold also models that belong to no line.
    """
    data = noise_data(cells, facts, seed, resamples)
    lines = {axis: names for axis in AXES if (names := series(data, axis))}
    if not lines:
        lines = {"noise": list(dict.fromkeys(zip(data["family"], data["layers"], strict=True)))}
    matrices = [name for name in MATRIX_LABELS if name in set(data["matrix"])]
    entries = sum(map(len, lines.values())) + 4 + len(matrices)
    with figure(2, len(lines), entries) as (made, axes):
        for (axis, names), left, right in zip(lines.items(), axes[::2], axes[1::2], strict=True):
            drawn = data[_belongs(data, axis, names)]
            drawn = drawn.assign(place=_places(drawn, axis))
            left.axhline(0, color="black", linestyle="--", linewidth=1, label="base", zorder=1)
            for number, name in enumerate(names):
                of_line = drawn[(drawn["family"] == name[0]) & (drawn[OTHER[axis]] == name[1])]
                _gain(left, of_line, axis, name, number, len(names))
                _rank(right, of_line[of_line["row"] == "model"], matrices, shades(len(names))[number])
            left.set_ylabel("gain in test accuracy, points")
            right.set_ylabel("chosen ρ (base kept: 1)")
            right.set_yscale("log")
            right.set_ylim(top=1.4)
            right.yaxis.set_major_formatter("{x:g}")
            for panel in (left, right):
                _ticks(panel, sorted({float(value) for value in drawn[axis]}))
                panel.set_xlabel(AXES[axis])
        first = data.iloc[0]
        title(made, f"Trained models on {first['dataset']}: LASER by noise and depth, {first['protocol']} protocol")
        legend(made)
        save(made, data, stem)
    return data


def _belongs(data: pd.DataFrame, axis: str, names: Sequence[tuple[str, Any]]) -> list[bool]:
    return [name in names for name in zip(data["family"], data[OTHER[axis]], strict=True)]


def _ticks(panel: Any, values: Sequence[float]) -> None:
    span = (values[-1] - values[0]) or max(1.0, abs(values[0]))
    panel.set_xticks(values, [f"{value:g}" for value in values])
    panel.set_xlim(values[0] - 0.1 * span, values[-1] + 0.1 * span)


def _places(drawn: pd.DataFrame, axis: str) -> pd.Series:
    """Return positions along an axis, float64; models with the same value are side by side, so none hides another."""
    values = drawn[axis].astype("float64")
    span = (values.max() - values.min()) or max(1.0, abs(float(values.iloc[0])))
    models = drawn[drawn["row"] == "model"].groupby(axis)["row"]
    aside = models.cumcount() - (models.transform("size") - 1) / 2
    return values + 0.022 * span * aside.reindex(drawn.index, fill_value=0.0)


def _gain(panel: Any, of_line: pd.DataFrame, axis: str, name: tuple[str, Any], number: int, count: int) -> None:
    models, means = of_line[of_line["row"] == "model"], of_line[of_line["row"] == "mean"].sort_values(axis)
    colour = shades(count)[number]
    ends = bars_of(models["gain"], models["gain_low"], models["gain_high"])
    panel.errorbar(
        *(models["place"], models["gain"], ends),
        **{"fmt": "none", "ecolor": colour, "elinewidth": 0.8, "alpha": 0.7},
    )
    points: dict[str, Any] = {"facecolors": "white", "edgecolors": [colour], "linewidths": 0.8, "zorder": 3}
    panel.scatter(models["place"], models["gain"], s=12, label="one seed, test rows' interval", **points)
    x = means[axis].to_numpy(dtype=np.float64)
    low, high = (means[f"gain_{end}"].fillna(means["gain"]) for end in ("low", "high"))
    band(panel, x, low, high, colour)
    other = f"{name[1]} layers" if axis == "noise" else f"noise {name[1]:g}"
    look: dict[str, Any] = {"color": colour, "marker": MARKERS[1 + number % (len(MARKERS) - 1)]}
    panel.plot(x, means["gain"], linestyle=LINES[number % len(LINES)], label=f"{name[0]}, {other}: mean", **look)


def _rank(panel: Any, models: pd.DataFrame, matrices: Sequence[str], colour: Any) -> None:
    for marker, matrix in (*zip(MARKERS, matrices, strict=False), ("x", "")):
        part = models[models["matrix"] == matrix]
        if not part.empty:
            look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 4.5}
            label = f"{MATRIX_LABELS[matrix]} chosen" if matrix else "base kept"
            panel.plot(part["place"], part["rho"].fillna(1.0), label=label, **look)
