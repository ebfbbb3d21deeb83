"""Transfer: what is chosen on one dataset, applied to the model's other datasets; and one generic choice for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, with_interval
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.io.files import read_spec
from laser.results.cells import PairedCell, intervention_labels, same_intervention
from laser.results.labelled import Labelled, aligned, by_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="transfer",
    kind="table",
    title="One intervention on other datasets",
    about="gains of what was chosen on one dataset on all others, and of one generic choice",
    reads=("test", "selection", "rows", "transfer"),
    cells=evaluated_cells("transfer"),
    needs="transfer",
    texts=("model", "protocol", "choice", "chosen_on", "applied_to", "matrix"),
    not_for_policies="all rooms are one task",
)

ONE, GENERIC = "dataset", "generic"
COLUMNS = (
    *("model", "protocol", "choice", "chosen_on", "applied_to", "matrix", "layer", "rho", "own"),
    *COMPARISON,
    "validation_gain",
)
"""Columns of the CSV. `choice` is `dataset` (chosen on the one dataset `chosen_on`) or `generic` (chosen on all but the
one that it is applied to); `own` is True if a dataset's own choice is applied to it, as in Table 1. Accuracies on test
rows in percent, `difference` in points. `validation_gain` (generic choices only) is the mean standardised gain on the
validation rows of the datasets used for choosing."""

SITE = ("matrix", "layer", "rho")


def make(study: StudyResults) -> pd.DataFrame:
    """Compare every choice with base on every dataset; rows by model, protocol and the dataset of the choice.

    `p_holm` covers all tests of a protocol except those of a dataset's own choice, which belong to Table 1 and have
    none here.

    Raises:
        UserError: rows of a choice are missing.
    """
    applied = {cell: choices_in(study.path_of("transfer", cell), "transferred") for cell in study.cells_of("transfer")}
    rows_at = by_cell(study.labelled("transfer", SITE))
    rows = []
    for cell in study.compared:
        choices = applied[cell.model, cell.dataset][cell.protocol]
        to_compare = [(ONE, name, choice, math.nan) for name, choice in choices["chosen_on"].items()]
        to_compare.append((GENERIC, "", choices["generic"]["chosen"], choices["generic"]["gain"]))
        further = rows_at.get(cell.key)
        for kind, chosen_on, choice, gain in to_compare:
            row = {"model": cell.model, "protocol": cell.protocol, "choice": kind, "chosen_on": chosen_on}
            row |= {"applied_to": cell.dataset, "own": chosen_on == cell.dataset, "validation_gain": gain}
            compared = compared_choice(cell, choice, further, study.seed, study.resamples)
            rows.append(row | intervention_labels(choice) | compared)
    adjust([row for row in rows if not row["own"]])
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("layer", "n", "groups"), "Int64"))
    return _sorted(frame)


def choices_in(path: Path, key: str) -> Mapping[str, Any]:
    """Return the choices that a file of test rows was made for, by protocol, from `key` of its spec."""
    spec = read_spec(path)
    if key not in spec:
        raise UserError(f"{path}: does not say which choices are applied. Delete it and run again.")
    return dict(spec[key])


def compared_choice(
    cell: PairedCell, choice: Mapping[str, Any] | None, further: Labelled | None, seed: int, resamples: int
) -> dict[str, Any]:
    """Compare a choice with base on a cell's test rows.

    Equal choices give equal numbers; the cell's own choice gives those of Table 1.
    """
    names = [*cell.key, "accuracy"]
    if choice is not None and not same_intervention(choice, cell.chosen):
        names.append(intervention(*(choice[key] for key in SITE)))
    return compare(
        cell.rows["base_correct"].to_numpy(dtype=bool),
        correct_at(cell, choice, further),
        list(cell.rows["group"]),
        names,
        truth=True,
        seed=seed,
        resamples=resamples,
    )


def correct_at(cell: PairedCell, choice: Mapping[str, Any] | None, further: Labelled | None) -> NDArray[np.bool_]:
    """Return which of a cell's test rows are right under a choice.

    Args:
        cell: results of base (the choice None) and of the cell's own choice.
        choice: matrix, layer and rho.
        further: the cell's rows at other choices, if it has any.

    Raises:
        UserError: rows of the choice are missing.
    """
    if choice is None or same_intervention(choice, cell.chosen):
        arm = "base" if choice is None else "laser"
        return cell.rows[f"{arm}_correct"].to_numpy(dtype=bool)
    held = pd.DataFrame() if further is None else further.arm(**{key: choice[key] for key in SITE})
    what = f"The choice {intervention(*(choice[key] for key in SITE))}"
    return aligned(cell, held, what)["correct"].to_numpy(dtype=bool)


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame sorted by model and protocol, then by line of the matrix of gains, the generic choice last."""
    keys = ("model", "protocol", "choice", "chosen_on")
    order = {key: {value: position for position, value in enumerate(dict.fromkeys(frame[key]))} for key in keys}
    # Files list datasets alphabetically; the cells have the study's order.
    order["chosen_on"] = {name: position for position, name in enumerate([*dict.fromkeys(frame["applied_to"]), ""])}
    placed = frame.assign(**{f"{key}_order": frame[key].map(order[key]) for key in keys})
    ordered = placed.sort_values([f"{key}_order" for key in keys], kind="stable", ignore_index=True)
    return ordered[list(COLUMNS)]


def views(frame: pd.DataFrame) -> list[View]:
    """Return two views per protocol: the matrix of gains, and the generic choice on each left-out dataset."""
    return [
        view
        for protocol, protocol_rows in frame.groupby("protocol", sort=False)
        for view in (_matrix(protocol_rows, str(protocol)), _generic(protocol_rows, str(protocol)))
    ]


def _matrix(frame: pd.DataFrame, protocol: str) -> View:
    datasets = list(dict.fromkeys(frame["applied_to"]))
    lines: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for (model, chosen_on), part in frame[frame["choice"] == ONE].groupby(["model", "chosen_on"], sort=False):
        by_dataset = {row["applied_to"]: row for row in part.to_dict("records")}
        first = part.iloc[0]
        gains = [with_interval(by_dataset[name], 1, "difference", sign=True) for name in datasets]
        bold.add((len(lines), 3 + datasets.index(str(chosen_on))))
        lines.append([str(model), str(chosen_on), intervention(first["matrix"], first["layer"], first["rho"]), *gains])
    notes = [
        "Gain over base in points of accuracy on the held-out rows of the dataset at the head of the column. Bold: a "
        "dataset's own choice, as in Table 1.",
        NOTES[0],
    ]
    title = f"Gain of each dataset's choice on the others, {protocol} protocol"
    return View(f"transfer_{protocol}", title, ["Model", "Chosen on", "Choice", *datasets], lines, bold, notes)


def _generic(frame: pd.DataFrame, protocol: str) -> View:
    own = frame[frame["own"]].set_index(["model", "applied_to"])
    columns = ["Model", "Left out", "Generic choice", "Standardised gain on the others, validation", "Base, %"]
    columns += ["Generic, %", "Gain, points", "p (Holm)", "Gain of its own choice", "n"]
    lines = [
        [
            row["model"],
            row["applied_to"],
            intervention(row["matrix"], row["layer"], row["rho"]),
            number(row["validation_gain"], 2, sign=True),
            with_interval(row, 1, "base"),
            with_interval(row, 1, "laser"),
            with_interval(row, 1, "difference", sign=True),
            p_value(row["p_holm"]),
            with_interval(own.loc[(row["model"], row["applied_to"])], 1, "difference", sign=True),
            integer(row["n"]),
        ]
        for row in frame[frame["choice"] == GENERIC].to_dict("records")
    ]
    notes = [
        "The generic choice is the one intervention with the highest mean standardised gain on the validation rows of "
        "all datasets but the one left out, on whose held-out rows it is tested. Standardised: the gain in accuracy "
        "over base, divided by the standard deviation of base's right and wrong rows.",
        NOTES[0],
        "p: paired test against base, adjusted by Holm's method over all transferred choices of one protocol.",
    ]
    title = f"One generic choice, tested on the dataset left out, {protocol} protocol"
    return View(f"transfer_generic_{protocol}", title, columns, lines, notes=notes)
