"""What the chosen reductions save, computed anew from selection, shapes and cards."""

from __future__ import annotations

from typing import Any

from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.reading import Study, asked
from laser_audit.selection import kept_of, reduction_path, selection_path

SIZE = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "kept_rank", "rows", "columns", "break_even_rank"),
    *("parameters", "parameters_factored", "parameters_saved", "saved", "model_parameters", "saved_of_matrix"),
    *("saved_of_model", "dtype", "bytes", "bytes_factored", "bytes_saved", "model_bytes"),
)
WIDTH = {"fp32": 4, "fp16": 2, "bf16": 2, "fp64": 8}


@asked("size")
def check_size(check: Check, study: Study) -> None:
    """Compare every cell of the table of sizes."""
    path = "tables/size.csv"
    with check.guarded(path):
        rows = []
        for model, dataset in study.cells():
            found = study.json(selection_path(model, dataset))["protocols"]
            for protocol in sorted(study.protocols):
                start: Row = {"model": model, "dataset": dataset, "protocol": protocol}
                rows.append(start | _saving(study, model, found[protocol]["chosen"]))
        compare_table(check, study, path, rows, ("model", "dataset", "protocol"), SIZE)


def _saving(study: Study, model: str, chosen: dict[str, Any] | None) -> Row:
    card = study.json(f"inputs/models/{model}/card.json")
    whole, dtype = int(card["parameters"]), card["dtype_stored"]
    row: Row = dict.fromkeys(SIZE[3:]) | {"matrix": "", "model_parameters": whole, "dtype": dtype}
    row["model_bytes"] = whole * WIDTH[dtype]
    if chosen is None:
        return row
    record = study.json(reduction_path(model, chosen["layer"], chosen["rho"]))["matrices"][chosen["matrix"]]
    m, n = (int(side) for side in record["shape"])
    kept = kept_of(float(chosen["rho"]), min(m, n))
    dense, factored = m * n, kept * (m + n)
    row |= {"matrix": chosen["matrix"], "layer": chosen["layer"], "rho": float(chosen["rho"]), "kept_rank": kept}
    row |= {"rows": m, "columns": n, "break_even_rank": dense / (m + n)}
    row |= {"parameters": dense, "parameters_factored": factored, "parameters_saved": dense - factored}
    row |= {"saved": factored < dense, "saved_of_matrix": 100 * (1 - factored / dense)}
    row |= {"saved_of_model": 100 * (dense - factored) / whole, "bytes": dense * WIDTH[dtype]}
    return row | {"bytes_factored": factored * WIDTH[dtype], "bytes_saved": (dense - factored) * WIDTH[dtype]}
