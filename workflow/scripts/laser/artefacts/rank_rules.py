"""Rules that derive ρ from a matrix's own singular values, compared with the best of the grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import COMPARISON, NOTES, adjust, difference, with_interval
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.artefacts.transfer import SITE, choices_in, compared_choice, correct_at
from laser.config.artefacts import Artefact, evaluated_cells
from laser.reduction.rank_rules import EDGE, EFFECTIVE
from laser.results.cells import intervention_labels
from laser.results.labelled import by_cell

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="rank_rules",
    kind="table",
    title="Rules for ρ in place of the grid",
    about="what the noise's edge and the effective rank choose, beside the grid's best",
    reads=("test", "selection", "rows", "rank_rules"),
    cells=evaluated_cells("rank_rules"),
    needs="rank_rules",
    texts=("model", "dataset", "protocol", "rule", "matrix"),
    not_for_policies="rank rules are compared for language models only",
)

GRID = "grid"
NAMES = {GRID: "the grid's best", EDGE: "noise's edge", EFFECTIVE: "effective rank"}
COLUMNS = (
    *("model", "dataset", "protocol", "rule", "matrix", "layer", "rho", "kept_rank", "candidates"),
    *("validation_accuracy", *COMPARISON, "over_grid", "over_grid_low", "over_grid_high", "over_grid_p"),
)
"""Columns of the CSV. `rule` is `grid`, `edge` or `effective_rank`; `candidates` counts the interventions compared on
validation rows. Accuracies in percent, differences in points: `difference` is relative to base, `over_grid` to the
grid's best on the same test rows."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compare what each rule chooses with base and with the grid's best.

    `p_holm` covers all tests of the rules against base under one protocol.
    """
    ruled = {cell: choices_in(study.path_of("rank_rules", cell), "ruled") for cell in study.cells_of("rank_rules")}
    rows_at = by_cell(study.labelled("rank_rules", SITE))
    settings = {"seed": study.seed, "resamples": study.resamples}
    rows = []
    for cell in study.compared:
        key = cell.key
        selection = study.selections[key[:2]]["protocols"][cell.protocol]
        choices = {GRID: {"chosen": selection["chosen"], "candidates": len(selection["candidates"])}}
        for rule, by_rule in (choices | ruled[key[:2]][cell.protocol]).items():
            choice = by_rule["chosen"]
            row = dict(zip(("model", "dataset", "protocol"), key, strict=True)) | {"rule": rule}
            row |= intervention_labels(choice) | {"kept_rank": choice and choice["kept_rank"]}
            row |= {"candidates": by_rule["candidates"], "validation_accuracy": _validation(selection, choice)}
            row |= compared_choice(cell, choice, rows_at.get(key), study.seed, study.resamples)
            over = dict.fromkeys(("difference", "difference_low", "difference_high", "p_value"), math.nan)
            if rule != GRID:
                correct = correct_at(cell, choice, rows_at.get(key))
                grid = cell.rows["laser_correct"].to_numpy(dtype=bool)
                names = (*key, "accuracy", "over the grid", rule)
                over = difference(grid, correct, list(cell.rows["group"]), names, truth=True, **settings)
            row |= {"over_grid": over["difference"], "over_grid_p": over["p_value"]}
            rows.append(row | {f"over_grid_{end}": over[f"difference_{end}"] for end in ("low", "high")})
    adjust([row for row in rows if row["rule"] != GRID])
    whole = dict.fromkeys(("layer", "kept_rank", "candidates", "n", "groups"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(whole)


def _validation(selection: Mapping[str, Any], choice: Mapping[str, Any] | None) -> float:
    if choice is None:
        return float(selection["validation"]["base"]["accuracy"])
    places = {tuple(each[key] for key in SITE): each["accuracy"] for each in selection["candidates"]}
    return float(places[tuple(choice[key] for key in SITE)])


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "ρ by", "Intervention", "Kept rank", "Candidates", "Validation, %", "Test, %"]
    columns += ["Gain over base, points", "p (Holm)", "Rule − grid, points", "p", "n"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                NAMES[row["rule"]],
                intervention(row["matrix"], row["layer"], row["rho"]),
                integer(row["kept_rank"]),
                integer(row["candidates"]),
                number(row["validation_accuracy"], 1),
                with_interval(row, 1, "laser"),
                with_interval(row, 1, "difference", sign=True),
                p_value(row["p_holm"]),
                with_interval(row, 1, "over_grid", sign=True),
                p_value(row["over_grid_p"]),
                integer(row["n"]),
            ]
            for row in protocol_rows.to_dict("records")
        ]
        notes = [
            "A rule says ρ for each matrix and layer from singular values alone (table edges), and the nearest ρ of "
            "the grid is taken; validation rows choose the matrix and layer, as for the grid.",
            NOTES[0],
            "p (Holm): paired test against base, adjusted over the rules' tests of one protocol; p: paired test of the "
            "rule against the grid's best on the same rows, not adjusted.",
        ]
        title = f"Rules for ρ beside the grid's best, {protocol} protocol"
        views.append(View(f"rank_rules_{protocol}", title, columns, lines, notes=notes))
    return views
