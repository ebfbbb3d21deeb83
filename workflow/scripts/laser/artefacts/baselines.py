"""LASER against baselines on the same test rows: does the gain come from low rank, or from any smaller matrix?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import DIFFERENCE, adjust, compare, with_interval
from laser.analysis.tables import View, integer, intervention, measure, p_value
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.results.cells import METRICS, PairedCell, intervention_labels
from laser.results.labelled import Labelled, aligned, by_cell

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="baselines",
    kind="table",
    title="LASER against baselines",
    about="the matrix zeroed, scaled, pruned or cut at random, and other baselines, beside LASER",
    reads=("test", "selection", "rows", "baselines"),
    cells=evaluated_cells("baselines"),
    needs="baselines",
    texts=("model", "dataset", "protocol", "metric", "baseline", "says", "matrix", "not_compared"),
)

BASE = "base"
WITHOUT_LOSS = ("calibrated", "forbidden_words")
"""Baselines that change the answer after the same model's probabilities are computed, so they have no loss."""
COLUMNS = (
    *("model", "dataset", "protocol", "metric", "baseline", "says", "value", "value_low", "value_high"),
    *("laser", "laser_low", "laser_high", *DIFFERENCE, "p_holm", "n", "groups"),
    *("matrix", "layer", "rho", "kept_rank", "not_compared"),
)
"""Columns of the CSV. Accuracy in percent, loss in nats per answer token; `difference` is LASER minus the baseline,
with its 95 % interval. `not_compared` gives the reason why there is no number. Matrix, layer and kept rank are those
of LASER."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compare LASER with every baseline, paired by row: a row per cell, metric and baseline.

    Holm's correction covers all p values of one protocol: all baselines, metrics, models and datasets. The base model
    is shown but not tested, because Table 1 tests it.

    Raises:
        UserError: a cell has no baselines file, or its file was made for another choice.
    """
    given = by_cell(study.labelled("baselines", ("baseline",)))
    rows: list[dict[str, Any]] = []
    for cell in study.compared:
        baselines = given.get(cell.key)
        if baselines is None or baselines.spec.get("chosen", {}).get(cell.protocol) != cell.chosen:
            named = f"{cell.model} on {cell.dataset}, protocol {cell.protocol}"
            raise UserError(f"baselines: {named} lacks its baselines at the chosen intervention. Make them again.")
        for metric in METRICS:
            rows += _rows(cell, metric, baselines, study.seed, study.resamples)
    adjust(rows)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        dict.fromkeys(("n", "groups", "layer", "kept_rank"), "Int64")
    )


def _rows(cell: PairedCell, metric: str, baselines: Labelled, seed: int, resamples: int) -> list[dict[str, Any]]:
    spec, truth = baselines.spec, metric == "accuracy"
    column = "correct" if truth else "loss"
    groups, laser = list(cell.rows["group"]), cell.rows[f"laser_{column}"]
    rows = []
    kinds = {BASE: BASE} | {name: fact["kind"] for name, fact in spec["baselines"][cell.protocol].items()}
    for name in dict.fromkeys(baselines.frame["baseline"]):
        kind = kinds[name]
        row = _labelled(cell, metric, name, says(spec["says"], name, kind))
        if not truth and kind in WITHOUT_LOSS:
            row["not_compared"] = "gives other answers; its probabilities are those of the base model"
        else:
            other = aligned(cell, baselines.arm(baseline=name), f"The baseline {name}")[column]
            names = (*cell.key, metric, name)
            compared = compare(other, laser, groups, names, truth=truth, seed=seed, resamples=resamples)
            row |= {f"value{end}": compared[f"base{end}"] for end in ("", "_low", "_high")}
            row |= {key: compared[key] for key in ("laser", "laser_low", "laser_high", *DIFFERENCE, "n", "groups")}
            if kind == BASE:
                row |= {"p_value": math.nan, "not_compared": "tested in Table 1"}
        rows.append(row)
    for name, reason in spec["not_applicable"][cell.protocol].items():
        rows.append(_labelled(cell, metric, name, says(spec["says"], name, name)) | {"not_compared": reason})
    return rows


def says(texts: Mapping[str, str], name: str, kind: str) -> str:
    """Describe a baseline; add the seed if it has several."""
    seed = name.removeprefix(f"{kind}_") if name != kind else ""
    return f"{texts[kind]}, seed {seed}" if seed else texts[kind]


def _labelled(cell: PairedCell, metric: str, name: str, text: str) -> dict[str, Any]:
    place = intervention_labels(cell.chosen)
    named = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "metric": metric}
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    return row | named | {"baseline": name, "says": text, "n": None, "groups": None, "not_compared": ""} | place


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "LASER", "Metric", "Baseline", "Its value", "LASER's value", "LASER − baseline"]
    columns += ["p (Holm)", "n", "Not compared"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = []
        for row in protocol_rows.to_dict("records"):
            places = 1 if row["metric"] == "accuracy" else 2
            lines.append(
                [
                    row["dataset"],
                    row["model"],
                    intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                    measure(row["metric"]),
                    row["says"],
                    with_interval(row, places, "value"),
                    with_interval(row, places, "laser"),
                    with_interval(row, places + 1, "difference", sign=True),
                    p_value(row["p_holm"]),
                    integer(row["n"]),
                    row["not_compared"],
                ]
            )
        notes = [
            "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
            "p: paired test of LASER against the baseline on the same test rows, adjusted by Holm's method over all "
            "tests of the table's protocol.",
            "Every baseline is made at the matrix, layer and rank that selection chose for LASER on validation rows; "
            "none is chosen itself.",
        ]
        title = f"LASER against baselines, {protocol} protocol"
        views.append(View(f"baselines_{protocol}", title, columns, lines, notes=notes))
    return views
