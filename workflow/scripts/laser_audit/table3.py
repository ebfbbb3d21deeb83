"""Table 3, recomputed: the choices, and their scores and those of the paper's choices on test rows."""

from __future__ import annotations

import math
from typing import Any

from laser_audit.cells import compared, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.paper import paper, rules
from laser_audit.reading import Study
from laser_audit.rows import Average, parts
from laser_audit.selection import chosen, kept_of, reduction_path

TABLE3 = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "kept_rank", "validation_accuracy"),
    *("validation_loss", "validation_accuracy_base", "validation_loss_base", "n", "candidates", "first_layer"),
    *("last_layer", "late_candidates", "severe_candidates", "paper_tau", "paper_matrix", "paper_layer", "paper_rho"),
    *("paper_kept_rank", "same_as_paper"),
)
TESTED = (
    *("test_n", "test_accuracy_base", "test_accuracy", "test_accuracy_low", "test_accuracy_high"),
    *("paper_test_accuracy", "paper_test_accuracy_low", "paper_test_accuracy_high"),
    *("paper_gain", "paper_gain_low", "paper_gain_high", "paper_gain_p"),
)


def check_table3(check: Check, study: Study) -> None:
    """Compare every cell of Table 3."""
    path = "tables/table3.csv"
    with check.guarded(path):
        rows = [
            _choice(study, model, dataset, protocol) | _on_test(study, model, dataset, protocol)
            for model, dataset in study.cells()
            for protocol in sorted(study.protocols)
        ]
        compare_table(check, study, path, rows, ("model", "dataset", "protocol"), (*TABLE3, *TESTED))


def _choice(study: Study, model: str, dataset: str, protocol: str) -> Row:
    base, every, taken = chosen(study, model, dataset, protocol)
    published = paper(study)
    theirs = published.choices.get(published.cell(model, dataset))
    best: Average = taken or base
    row: Row = {"model": model, "dataset": dataset, "protocol": protocol}
    row |= {"matrix": taken.matrix if taken else "", "layer": taken.layer if taken else None}
    row["rho"] = taken.rho if taken else math.nan
    row["kept_rank"] = None
    if taken:
        record = study.json(reduction_path(model, taken.layer, taken.rho))
        row["kept_rank"] = kept_of(taken.rho, min(record["matrices"][taken.matrix]["shape"]))
    row |= {"validation_accuracy": best.accuracy, "validation_loss": _or_none(best.loss), "n": base.n}
    row |= {
        "validation_accuracy_base": base.accuracy,
        "validation_loss_base": _or_none(base.loss),
        "candidates": len(every),
    }
    row |= {
        "first_layer": min(average.layer for average in every),
        "last_layer": max(average.layer for average in every),
    }
    middle = (row["first_layer"] + row["last_layer"]) / 2
    row["late_candidates"] = sum(1 for average in every if average.layer > middle) / len(every)
    severe = rules(study)["severe"]
    row["severe_candidates"] = sum(1 for average in every if average.rho <= severe) / len(every)
    for key in ("tau", "matrix", "layer", "rho", "kept_rank"):
        row[f"paper_{key}"] = theirs[key] if theirs else ("" if key in ("tau", "matrix") else None)
    row["same_as_paper"] = None
    if theirs:
        their_edit = (theirs["matrix"], theirs["layer"], theirs["rho"])
        row["same_as_paper"] = taken is not None and (taken.matrix, taken.layer, taken.rho) == their_edit
    return row


def _on_test(study: Study, model: str, dataset: str, protocol: str) -> Row:
    """Return the scores of the choice and of the paper's choice on test rows."""
    seed, resamples = study.sampling
    cell = tested(study, model, dataset, protocol)
    names = (*cell.name, "accuracy")
    base, laser = cell.values("base", "correct"), cell.values("laser", "correct")
    comparison = compared(base, laser, cell.groups, names, True, seed, resamples)
    row: dict[str, Any] = dict.fromkeys(TESTED, math.nan)
    row |= {"test_n": comparison["n"], "test_accuracy_base": comparison["base"], "test_accuracy": comparison["laser"]}
    row |= {"test_accuracy_low": comparison["laser_low"], "test_accuracy_high": comparison["laser_high"]}
    path = f"choices/{model}/{dataset}.parquet"
    theirs = parts(study, path).get((protocol, "published")) if study.has(path) else None
    if theirs is not None:
        scores = theirs.set_index("id")["correct"].to_dict()
        published = [float(scores[name]) for name in cell.ids]
        at_their_choice = compared(base, published, cell.groups, (*names, "paper's choice"), True, seed, resamples)
        row |= {f"paper_test_accuracy{end}": at_their_choice[f"laser{end}"] for end in ("", "_low", "_high")}
        row |= {f"paper_gain{end}": at_their_choice[f"difference{end}"] for end in ("", "_low", "_high")}
        row["paper_gain_p"] = at_their_choice["p_value"]
    return row


def _or_none(loss: float) -> float:
    """Return a mean loss as written in tables: NaN if a row has none."""
    return loss if math.isfinite(loss) else math.nan
