"""Table 3: the intervention chosen on validation, beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from laser.analysis.published import Published
from laser.analysis.tables import View, integer, intervention, number


def table3(selections: Sequence[Mapping[str, Any]], published: Published | None = None) -> pd.DataFrame:
    """Compute Table 3: the intervention chosen on validation, per model, dataset and protocol.

    Args:
        selections: selection files as read by `laser.analysis.loading.load_selections`.
        published: the paper's choices, or None.

    Returns:
        model, dataset, protocol, matrix, layer, rank, kept_rank (empty where base was chosen), validation accuracy
        (percent) and loss (nats) of base and chosen, n, number of candidates, the paper's choice, and whether the
        two are the same (<NA> where the paper has none).
    """
    published = published or Published()
    rows = []
    for selection in selections:
        paper = published.choice(selection["model"], selection["dataset"])
        for protocol, one in selection["protocols"].items():
            chosen = one["chosen"]
            validation = one["validation"]
            best = validation.get("chosen") or validation["base"]
            row: dict[str, Any] = {"model": selection["model"], "dataset": selection["dataset"], "protocol": protocol}
            row |= {
                "matrix": chosen["matrix"] if chosen else "",
                "layer": chosen["layer"] if chosen else None,
                "rank": chosen["rank"] if chosen else math.nan,
                "kept_rank": chosen.get("kept_rank") if chosen else None,
                "validation_accuracy": best["accuracy"],
                "validation_loss": best["loss"],
                "validation_accuracy_base": validation["base"]["accuracy"],
                "validation_loss_base": validation["base"]["loss"],
                "n": validation["base"]["n"],
                "candidates": len(one["candidates"]),
                "paper_tau": paper["tau"] if paper else "",
                "paper_matrix": paper["matrix"] if paper else "",
                "paper_layer": paper["layer"] if paper else None,
                "paper_rank": paper["rank"] if paper else math.nan,
                "paper_kept_rank": paper["kept_rank"] if paper else None,
                "same_as_paper": _same(chosen, paper),
            }
            rows.append(row)
    whole = dict.fromkeys(("layer", "kept_rank", "paper_layer", "paper_kept_rank"), "Int64")
    return pd.DataFrame(rows).astype(whole | {"same_as_paper": "boolean"})


def _same(chosen: Mapping[str, Any] | None, paper: Mapping[str, Any] | None) -> bool | None:
    if paper is None:
        return None
    return chosen is not None and all(chosen[key] == paper[key] for key in ("matrix", "layer", "rank"))


def table3_views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view of Table 3 per protocol."""
    columns = ["Dataset", "Model", "Chosen [τ, ℓ, ρ]", "Kept rank", "Validation accuracy, %", "of base, %"]
    columns += ["Validation loss, nats", "of base, nats", "n", "Candidates", "Paper [τ, ℓ, ρ]", "Same"]
    views = []
    for protocol in dict.fromkeys(frame["protocol"]):
        rows = [
            [
                row["dataset"],
                row["model"],
                intervention(row["matrix"], row["layer"], row["rank"]),
                integer(row["kept_rank"]),
                number(row["validation_accuracy"], 1),
                number(row["validation_accuracy_base"], 1),
                number(row["validation_loss"], 2),
                number(row["validation_loss_base"], 2),
                integer(row["n"]),
                integer(row["candidates"]),
                intervention(row["paper_tau"], row["paper_layer"], row["paper_rank"]) if row["paper_tau"] else "",
                "" if pd.isna(row["same_as_paper"]) else ("yes" if row["same_as_paper"] else "no"),
            ]
            for row in frame[frame["protocol"] == protocol].to_dict("records")
        ]
        notes = [
            "τ is the matrix, ℓ the layer counted from 0, ρ the fraction of the maximum rank that is kept.",
            "base: no intervention beat the unmodified model on validation.",
        ]
        if (frame["paper_matrix"] != frame["paper_tau"].str.lower()).any():
            notes.append("The paper's U_in is the gate projection u_gate in Llama2.")
        title = f"Table 3. Interventions chosen on validation rows, {protocol} protocol"
        views.append(View(f"table3_{protocol}", title, columns, rows, notes=notes))
    return views
