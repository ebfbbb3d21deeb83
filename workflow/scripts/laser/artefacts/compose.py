"""Composed interventions: base, the best single intervention and the composition, on test rows (section 5.1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import adjust, difference, estimate, with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, measure, number, p_value
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.paper.published import Published, read_published
from laser.paper.text_numbers import COMPOSED, DATASET, MODEL, TextNumber, read_text_numbers
from laser.results.cells import METRICS, PairedCell, values
from laser.results.labelled import Labelled, aligned, by_cell

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="compose",
    kind="table",
    title="Composition over layers",
    about="interventions composed over layers, test rows",
    reads=("test", "selection", "rows", "composition", "composed"),
    cells=evaluated_cells("compose"),
    needs="compose",
    texts=("model", "dataset", "protocol", "metric", "arm", "interventions"),
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return compose_table(
        study.compared,
        study.labelled("composed", ("step",)),
        list(study.documents("composition", "model", "dataset", "protocols").values()),
        read_published(),
        read_text_numbers(),
        study.seed,
        study.resamples,
    )


ARMS = ("base", "laser", "composed")
COLUMNS = (
    *("model", "dataset", "protocol", "metric", "arm", "value", "low", "high", "n", "edits", "interventions"),
    *("difference", "difference_low", "difference_high", "p_value", "p_holm"),
    *("over_laser", "over_laser_low", "over_laser_high", "over_laser_p", "over_laser_p_holm"),
    *("validation_base", "validation_composed", "validation_n", "published"),
)
"""Columns of the CSV. Accuracy in percent, loss in nats per answer token; differences are relative to base, except that
those named `over_laser` are the composition minus the best single intervention; `interventions` is a JSON list of
[matrix, layer, rho] in order of acceptance; `validation_…` are the scores that the greedy search saw."""


def compose_table(
    cells: Sequence[PairedCell],
    composed: Sequence[Labelled],
    searches: Sequence[Mapping[str, Any]],
    published: Published | None = None,
    texts: Mapping[str, TextNumber] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compare base, the best single intervention and the composition on the same test rows.

    Args:
        cells: test results (`laser.results.loading.load_cells`).
        composed: test rows of every step of the composition (label `step`, 0 is base).
        searches: search results (compose/<model>/<dataset>.json).
        published: the paper's names and numbers, or None.
        texts: numbers from the paper's text, or None.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`, for the cells that were composed.

    Raises:
        UserError: a composition's search or cell is missing, or its test rows belong to another composition.
    """
    tested = {cell.key: cell for cell in cells}
    searched = {(search["model"], search["dataset"]): search["protocols"] for search in searches}
    rows: list[dict[str, Any]] = []
    for key, composition in by_cell(composed).items():
        if key not in tested or key[:2] not in searched:
            raise UserError(f"compose: {key[0]} on {key[1]} has no test or search file. Give it, or run its rule.")
        search = searched[key[:2]][key[2]]
        if composition.spec.get("chosen", {}).get(key[2]) != search["chosen"] or composition.frame["step"].max() != len(
            search["chosen"]
        ):
            raise UserError(
                f"compose: the test rows of {key[0]} on {key[1]}, {key[2]}, are of another composition than the search "
                "file's. Delete them and run again."
            )
        for metric in METRICS:
            rows += _rows(tested[key], composition, search, metric, seed, resamples)
    adjust(rows)
    adjust(rows, "over_laser_p", "over_laser_p_holm")
    for row in rows:
        row["published"] = _published(row, published or Published(), texts or {})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64", "edits": "Int64", "validation_n": "Int64"})


def _rows(
    cell: PairedCell, composition: Labelled, search: Mapping[str, Any], metric: str, seed: int, resamples: int
) -> list[dict[str, Any]]:
    last = aligned(cell, composition.arm(step=int(composition.frame["step"].max())), "The composition")
    truth = metric == "accuracy"
    column = last["correct" if truth else "loss"]
    arms = {arm: values(cell, metric, arm) / (100 if truth else 1) for arm in ("base", "laser")}
    arms["composed"] = column.to_numpy(dtype="float64")
    edits = {"base": [], "laser": [cell.chosen] if cell.chosen else [], "composed": search["chosen"]}
    names, groups = (*cell.key, metric), list(cell.rows["group"])
    settings: dict[str, Any] = {"truth": truth, "seed": seed, "resamples": resamples}
    kept = [step for step in search["steps"] if step["accepted"]]
    rows = []
    for arm in ARMS:
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
        row |= dict(zip(("model", "dataset", "protocol", "metric"), names, strict=True)) | {"arm": arm}
        row |= estimate(arms[arm], groups, names, **settings)
        row |= {"n": len(groups), "edits": len(edits[arm])}
        row["interventions"] = json.dumps([[x["matrix"], x["layer"], x["rho"]] for x in edits[arm]])
        row["validation_base"] = search["base"][metric]
        row["validation_composed"] = kept[-1][metric] if kept else search["base"][metric]
        row["validation_n"] = search["base"]["n"]
        if arm != "base":
            stream = names if arm == "laser" else (*names, arm)
            row |= difference(arms["base"], arms[arm], groups, stream, **settings)
        if arm == "composed":
            over = difference(arms["laser"], arms[arm], groups, (*names, "over laser"), **settings)
            row |= {f"over_laser{end}": over[f"difference{end}"] for end in ("", "_low", "_high")}
            row["over_laser_p"] = over["p_value"]
        rows.append(row)
    return rows


def _published(row: Mapping[str, Any], published: Published, texts: Mapping[str, TextNumber]) -> float:
    if row["arm"] != "composed":
        printed = published.cell(row["model"], row["dataset"], row["metric"], row["arm"])
        return printed.value if printed else math.nan
    names = published.models.get(row["model"]), published.datasets.get(row["dataset"])
    number_ = texts.get(COMPOSED)
    if names != (MODEL, DATASET) or row["metric"] != "accuracy" or number_ is None or number_.value is None:
        return math.nan
    return number_.value.value


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol, and a view of the accepted edits."""
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines, edits = [], []
        for (dataset, model, metric), part in protocol_rows.groupby(["dataset", "model", "metric"], sort=False):
            arms = {row["arm"]: row for row in part.to_dict("records")}
            composed, places = arms["composed"], 1 if metric == "accuracy" else 2
            names = [str(dataset), str(model)]
            lines.append(
                [
                    *names,
                    measure(metric),
                    *(with_interval(arms[arm], places, "value", low="low", high="high") for arm in ARMS),
                    with_interval(composed, places + 1, "over_laser", sign=True),
                    p_value(composed["over_laser_p_holm"]),
                    integer(composed["n"]),
                    integer(composed["edits"]),
                    number(composed["published"], places),
                ]
            )
            if metric == METRICS[0]:
                listed = [f"[{m}, {layer}, {rho:g}]" for m, layer, rho in json.loads(composed["interventions"])]
                edits.append([*names, " ".join(listed) or "none"])
        columns = ["Dataset", "Model", "Metric", "Base", "Best single", "Composed", "Composed − single"]
        columns += ["p (Holm)", "n", "Edits", "Paper: composed"]
        if not protocol_rows["published"][protocol_rows["arm"] == "composed"].notna().any():
            columns, lines = columns[:-1], [line[:-1] for line in lines]
        notes = [
            "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
            "p: paired test of the composition against the best single intervention, adjusted by Holm's method.",
            "Every choice was made on validation rows; the composition is scored once on test rows.",
        ]
        title = f"Composing interventions over layers, held-out rows, {protocol} protocol"
        views.append(View(f"compose_{protocol}", title, columns, lines, notes=notes))
        columns = ["Dataset", "Model", "Accepted edits [τ, ℓ, ρ], in order"]
        views.append(View(f"compose_edits_{protocol}", f"Accepted edits, {protocol} protocol", columns, edits))
    return views
