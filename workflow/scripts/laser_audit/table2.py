"""Table 2, recomputed: rooms solved, return and loss of a policy on test rooms."""

from __future__ import annotations

from laser_audit.cells import ARMS, adjusted, all_tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.paper import FOLDER, rules, shown, verdict
from laser_audit.reading import Study, remembered
from laser_audit.table1 import COLUMNS, both_arms

METRICS = {"accuracy": "correct", "return": "return", "loss": "loss"}
PRINTED = {"Transformer": "base", "with LASER": "laser"}
OWN_SIZE = ("decision-transformer-paper", "sokoban-paper")
"""Model and dataset of the paper's size; for others, the paper's numbers are shown but not judged."""


@remembered
def printed(study: Study) -> dict[tuple[str, str], str]:
    """Return the paper's Table 2 from the study's copy: (metric, arm) to the text."""
    columns = {"accuracy": "accuracy_pct_solved", "return": "return"}
    rows = study.table(f"{FOLDER}/table2_sokoban.csv")[1]
    return {(metric, PRINTED[row["model"]]): row[name] for row in rows for metric, name in columns.items()}


@remembered
def expected_table2(study: Study) -> tuple[Row, ...]:
    """Return the rows of Table 2, in its order."""
    dtypes = {entry["name"]: entry["dtype"] for entry in study.settings["models"]}
    rows: list[Row] = []
    complete: list[bool] = []
    for cell in all_tested(study, study.protocols):
        comparable = (cell.model, cell.dataset) == OWN_SIZE and not cell.data.limited
        for metric in METRICS:
            texts = {arm: printed(study).get((metric, arm)) for arm in ARMS}
            base, laser = (cell.values(arm, METRICS[metric]) for arm in ARMS)
            rows += both_arms(study, cell, metric, base, laser, dtypes[cell.model], texts)
            complete += [comparable, comparable]
    adjusted([row for row in rows if row["arm"] == "laser"])
    for row, whole in zip(rows, complete, strict=True):
        text, base_text = (printed(study).get((row["metric"], arm)) for arm in (row["arm"], "base"))
        row |= shown(rules(study), row, text, base_text, [], None)
        row["verdict"] = verdict(rules(study), row, text, base_text, whole, same_rows=False)
    return tuple(rows)


def check_table2(check: Check, study: Study) -> None:
    """Compare every cell of Table 2."""
    path = "tables/table2.csv"
    with check.guarded(path):
        keys = ("model", "dataset", "protocol", "metric", "arm")
        compare_table(check, study, path, expected_table2(study), keys, COLUMNS)
