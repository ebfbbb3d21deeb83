"""Parameters and bytes that the chosen reduction saves if its factors replace the matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.tables import View, integer, intervention, number
from laser.config.artefacts import Artefact
from laser.errors import UserError
from laser.io.files import read_json
from laser.models.stored import BYTES
from laser.results.study import read_document

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="size",
    kind="table",
    title="What factors save",
    about="parameters and bytes that the factors save",
    reads=("selection", "reduction", "model"),
    texts=("model", "dataset", "protocol", "matrix", "dtype"),
    resampled=False,
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return size(list(study.selections.values()), study.paths("reduction"), read_cards(study.paths("model")))


COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "kept_rank", "rows", "columns", "break_even_rank"),
    *("parameters", "parameters_factored", "parameters_saved", "saved", "model_parameters", "saved_of_matrix"),
    *("saved_of_model", "dtype", "bytes", "bytes_factored", "bytes_saved", "model_bytes"),
)
"""Columns of the CSV. `parameters_saved` is negative if the factors are larger than the matrix, that is, above
`break_even_rank`, mn/(m + n); `saved_of_…` in percent; bytes in the dtype that the checkpoint is stored in."""


def read_cards(paths: Sequence[Path]) -> dict[str, Mapping[str, Any]]:
    """Read model cards, by model name.

    Raises:
        UserError: a card lacks its name, its number of parameters or its dtype.
    """
    cards = [read_document(path, ("name", "parameters", "dtype_stored")) for path in paths]
    return {card["name"]: card for card in cards}


def size(
    selections: Sequence[Mapping[str, Any]], records: Sequence[Path], cards: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Compute the sizes of the chosen matrix, dense and as factors.

    Args:
        selections: selection files (`laser.results.loading.load_selections`).
        records: reduction records (reductions/<model>/layer<l>/rho<rho>.json).
        cards: maps a model to its card (`read_cards`).

    Returns:
        A row per cell and protocol with the columns `COLUMNS`; where base was chosen, only names are filled.

    Raises:
        UserError: a chosen intervention has no record, or a model has no card.
    """
    known: dict[tuple[str, str, int, float], Mapping[str, Any]] = {}
    for path in records:
        record = read_json(path)
        model = record["spec"]["model"]["name"]
        for matrix, sizes in record["matrices"].items():
            known[model, matrix, int(record["layer"]), float(record["rho"])] = sizes
    rows = []
    for selection in selections:
        model = selection["model"]
        if model not in cards:
            raise UserError(f"size: no card was given for the model {model}. Have: {', '.join(cards) or 'none'}.")
        for protocol, selected in selection["protocols"].items():
            names = {"model": model, "dataset": selection["dataset"], "protocol": protocol}
            rows.append(names | _row(selected["chosen"], known, cards[model], model))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = [name for name in COLUMNS if name.startswith(("parameters", "bytes", "model_")) or name in _COUNTS]
    return frame.astype(dict.fromkeys(whole, "Int64") | {"saved": "boolean"})


_COUNTS = ("layer", "kept_rank", "rows", "columns")


def _row(
    chosen: Mapping[str, Any] | None,
    known: Mapping[tuple[str, str, int, float], Mapping[str, Any]],
    card: Mapping[str, Any],
    model: str,
) -> dict[str, Any]:
    parameters, width = int(card["parameters"]), BYTES[card["dtype_stored"]]
    common = {"model_parameters": parameters, "dtype": card["dtype_stored"], "model_bytes": parameters * width}
    if chosen is None:
        return common | {"matrix": "", "rho": math.nan}
    key = (model, str(chosen["matrix"]), int(chosen["layer"]), float(chosen["rho"]))
    if key not in known:
        raise UserError(f"size: no reduction record was given for {key}. Give it, or run `reduce`.")
    record = known[key]
    height, breadth = record["shape"]
    dense, factored = int(record["parameters"]), int(record["parameters_factored"])
    return common | {
        "matrix": key[1],
        "layer": key[2],
        "rho": key[3],
        "kept_rank": record["kept_rank"],
        "rows": height,
        "columns": breadth,
        "break_even_rank": height * breadth / (height + breadth),
        "parameters": dense,
        "parameters_factored": factored,
        "parameters_saved": dense - factored,
        "saved": factored < dense,
        "saved_of_matrix": 100 * (dense - factored) / dense,
        "saved_of_model": 100 * (dense - factored) / parameters,
        "bytes": dense * width,
        "bytes_factored": factored * width,
        "bytes_saved": (dense - factored) * width,
    }


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Intervention", "Shape", "Kept rank", "Break-even rank", "Parameters"]
    columns += ["As factors", "Saved", "of the matrix, %", "of the model, %", "Saved, MB", "Stored as"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                f"{row['rows']} × {row['columns']}" if row["matrix"] else "",
                integer(row["kept_rank"]),
                number(row["break_even_rank"], 1),
                integer(row["parameters"]),
                integer(row["parameters_factored"]),
                integer(row["parameters_saved"]),
                number(row["saved_of_matrix"], 1),
                number(row["saved_of_model"], 3),
                number(_megabytes(row["bytes_saved"]), 2),
                row["dtype"],
            ]
            for row in protocol_rows.to_dict("records")
        ]
        notes = [
            "As factors: k(m + n) parameters in place of mn. They are fewer only where the kept rank k is below the "
            "break-even rank mn/(m + n); a negative number means that keeping the dense matrix is smaller.",
            "Seconds per token of both forms are measured where the form factored is exported (latency.json).",
            "base: nothing is edited, so nothing is saved.",
        ]
        title = f"What the chosen reduction saves, {protocol} protocol"
        views.append(View(f"size_{protocol}", title, columns, lines, notes=notes))
    return views


def _megabytes(count: Any) -> float | None:
    return None if pd.isna(count) else int(count) / 1e6
