"""Figure 4: validation and test accuracy as the greedy composition over layers proceeds (paper section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis import style
from laser.analysis.intervals import share_interval
from laser.analysis.style import LINES, MARKERS, MATRIX_LABELS, bars_of, figure, legend, save, shades, title
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.results.labelled import Labelled, by_cell

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig4",
    kind="figure",
    title="Figure 4",
    about="interventions composed over layers",
    reads=("composition", "composed", "rows"),
    cells=evaluated_cells("compose"),
    needs="compose",
    texts=("model", "dataset", "protocol", "matrix"),
    resampled=False,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    searched = study.documents("composition", "model", "dataset", "protocols")[picture.model, picture.dataset]
    composed = by_cell(study.labelled("composed", ("step",)))[picture.model, picture.dataset, picture.protocol]
    fig4(searched, composed, stem)


COLUMNS = (
    *("model", "dataset", "protocol", "step", "layer", "matrix", "rho", "accepted", "edits"),
    *("validation_accuracy", "validation_best", "validation_n", "test_accuracy", "test_low", "test_high", "test_n"),
)
"""Columns of the CSV: a row for the base model (step 0) and one per matrix and layer, in search order.

`validation_accuracy` is that of the best rho tried there on top of the edits accepted before, `validation_best` is the
best so far, and `edits` counts the edits accepted so far. Test columns are filled where an edit was accepted.
Accuracies are in percent."""


def fig4_data(search: Mapping[str, Any], composed: Labelled) -> pd.DataFrame:
    """Return the accuracies along one composition.

    Args:
        search: compose/<model>/<dataset>.json.
        composed: its test rows with the label `step` (`laser.results.labelled.load_labelled`).

    Returns:
        A frame with the columns `COLUMNS`.

    Raises:
        UserError: the test rows and the search belong to different compositions.
    """
    if composed.protocol not in search["protocols"]:
        raise UserError(
            f"fig4: the search of {composed.model} on {composed.dataset} has no {composed.protocol} protocol."
        )
    searched = search["protocols"][composed.protocol]
    accepted = [step for step in searched["steps"] if step["accepted"]]
    if (
        composed.frame["step"].max() != len(accepted)
        or composed.spec.get("chosen", {}).get(composed.protocol, searched["chosen"]) != searched["chosen"]
    ):
        raise UserError(
            f"fig4: the test rows of {composed.model} on {composed.dataset}, {composed.protocol}, are of another "
            "composition than the search file's. Delete them and run again."
        )
    names = {"model": composed.model, "dataset": composed.dataset, "protocol": composed.protocol}
    base = {"layer": None, "matrix": "", "rho": math.nan, "accepted": True, "accuracy": searched["base"]["accuracy"]}
    best, edits, rows = -math.inf, 0, []
    for number, step in enumerate([base, *searched["steps"]]):
        # Accepted steps are never worse than the best so far, so the last accepted step is the best.
        best = step["accuracy"] if step["accepted"] else best
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | names | {"step": number}
        row |= {key: step[key] for key in ("layer", "matrix", "rho", "accepted")}
        row |= {"validation_accuracy": step["accuracy"], "validation_best": best, "validation_n": searched["base"]["n"]}
        if step["accepted"]:
            edits += number > 0
            row |= _test(composed, edits)
        rows.append(row | {"edits": edits})
    whole = {"layer": "Int64", "edits": "int64", "validation_n": "int64", "test_n": "Int64"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(whole)


def _test(composed: Labelled, edits: int) -> dict[str, float]:
    scored = composed.arm(step=edits)
    values = scored["correct"].to_numpy(dtype="float64")
    low, high = share_interval(values, list(scored["group"]))
    shown = {"test_accuracy": float(values.mean()), "test_low": low, "test_high": high}
    return {name: 100 * value for name, value in shown.items()} | {"test_n": len(scored)}


def fig4(search: Mapping[str, Any], composed: Labelled, stem: Path | str) -> pd.DataFrame:
    """Draw Figure 4 for one cell and protocol: accuracy by accepted edits, and by matrix and layer in search order."""
    data = fig4_data(search, composed)
    kept = data[data["accepted"]]
    colours = shades(2)
    with figure(2, 1, 4) as (made, (by_edit, by_place)):
        for axis, x, best in ((by_edit, "edits", kept), (by_place, "step", data)):
            drawstyle = "steps-post" if axis is by_place else "default"
            label = "validation, best so far"
            axis.plot(best[x], best["validation_best"], color=colours[1], drawstyle=drawstyle, label=label)
            axis.plot(kept[x], kept["validation_best"], color=colours[1], marker=MARKERS[0], linestyle="none")
            ends = bars_of(kept["test_accuracy"], kept["test_low"], kept["test_high"])
            look: dict[str, Any] = {"color": colours[0], "marker": MARKERS[1], "linestyle": LINES[1], "capsize": 2}
            axis.errorbar(kept[x], kept["test_accuracy"], ends, label="test, with 95 % interval", **look)
            axis.set_ylabel("accuracy, %")
        refused = data[~data["accepted"]]
        label = "validation, best try, refused"
        by_place.plot(refused["step"], refused["validation_accuracy"], "x", color="0.45", label=label)
        by_edit.set_xlabel("accepted edits")
        style.whole_numbers(by_edit, list(kept["edits"]))
        _layer_axis(by_place, data)
        first = data.iloc[0]
        what = f"{first['model']} on {first['dataset']}: composing over layers, {first['protocol']} protocol"
        title(made, f"{what}, validation {style.rows(first['validation_n'])}, test {style.rows(first['test_n'])}")
        legend(made)
        save(made, data, stem)
    return data


def _layer_axis(axis: Any, data: pd.DataFrame) -> None:
    """Label the steps of the search: the base, then layers downwards with the matrices of each."""
    places = data[data["step"] > 0]
    starts = places.drop_duplicates("layer")
    every = math.ceil(len(starts) / 10)
    shown = starts.iloc[::every]
    axis.set_xticks(list(shown["step"]), [str(layer) for layer in shown["layer"]])
    # One line lower, because the label of the first layer is next to it.
    axis.set_xticks([0], ["base"], minor=True)
    axis.tick_params(axis="x", which="minor", pad=15, length=0)
    order = ", ".join(MATRIX_LABELS.get(name, name) for name in dict.fromkeys(places["matrix"]))
    axis.set_xlabel(f"layer reached ({order} in each)")
