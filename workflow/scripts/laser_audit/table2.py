"""Table 2 computed anew: rooms solved, return and loss of a policy on test rooms, and the table as it is printed."""

from __future__ import annotations

import math
from dataclasses import replace

from laser_audit.cells import ARMS, Tested, adjusted, all_tested, compared
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.paper import FOLDER, LEVEL, paper, verdict
from laser_audit.reading import Study, asked, remembered
from laser_audit.rendered import markdown_tables
from laser_audit.rows import test_path
from laser_audit.table1 import COLUMNS
from laser_audit.table1_text import estimate, rounded

METRICS = {"accuracy": "correct", "return": "return", "loss": "loss"}
SHOWN = {"accuracy": "rooms solved, %", "return": "return, points", "loss": "loss, nats per action"}
HEADS = (
    *("Model", "Rooms", "Metric", "Base", "LASER", "LASER − base", "p (Holm)", "n", "Intervention"),
    *("Paper: base", "Paper: LASER"),
)
PRINTED = {"Transformer": "base", "with LASER": "laser"}
OWN_SIZE = ("decision-transformer-paper", "sokoban-paper")
"""Model and dataset that have the size of the paper's; of others its numbers are shown, and not judged."""


@remembered
def printed(study: Study) -> dict[tuple[str, str], str]:
    """Return the paper's Table 2 from the study's copy: (metric, arm) to the text."""
    columns = {"accuracy": "accuracy_pct_solved", "return": "return"}
    rows = study.table(f"{FOLDER}/table2_sokoban.csv")[1]
    return {(metric, PRINTED[row["model"]]): row[name] for row in rows for metric, name in columns.items()}


def values(study: Study, cell: Tested, arm: str, metric: str) -> list[float]:
    """Return one number per test row: 0 or 1, points, or nats."""
    if metric != "return":
        return cell.values(arm, METRICS[metric])
    frame = study.frame(test_path(cell.model, cell.dataset), ["protocol", "arm", "return"])
    own = frame[(frame["protocol"] == cell.protocol) & (frame["arm"] == arm)]
    return [float(value) for value in own["return"].tolist()]


@remembered
def expected_table2(study: Study) -> tuple[Row, ...]:
    """Return the rows of Table 2, in its order."""
    dtypes = {one["name"]: one["dtype"] for one in study.settings["models"]}
    rows: list[Row] = []
    complete: list[bool] = []
    for cell in all_tested(study, study.protocols):
        own = (cell.model, cell.dataset) == OWN_SIZE and not cell.data.limited
        for metric in METRICS:
            rows += _pair(study, cell, metric, dtypes[cell.model])
            complete += [own, own]
    adjusted([row for row in rows if row["arm"] == "laser"])
    for row, whole in zip(rows, complete, strict=True):
        numbers = {("", "", *key): text for key, text in printed(study).items()}
        names = {("model", row["model"]): "", ("dataset", row["dataset"]): ""}
        found = replace(paper(study), names=names, printed=numbers)
        row["verdict"] = verdict(found, row, [math.inf], whole, row["arm"] == "laser" and row["matrix"] == "", None)
    return tuple(rows)


def _pair(study: Study, cell: Tested, metric: str, dtype: str) -> list[Row]:
    """Return both arms of one metric of a cell."""
    both = [values(study, cell, arm, metric) for arm in ARMS]
    seed, resamples = study.sampling
    change = compared(both[0], both[1], cell.groups, (*cell.name, metric), metric == "accuracy", seed, resamples)
    rows = []
    for arm in ARMS:
        text = printed(study).get((metric, arm))
        row: Row = dict.fromkeys(COLUMNS, math.nan) | {
            **{"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "metric": metric, "arm": arm},
            **{"value": change[arm], "low": change[f"{arm}_low"], "high": change[f"{arm}_high"], "n": change["n"]},
            **{"matrix": "", "layer": None, "prediction_shares": "", "dtype": dtype},
            "published": float(text) if text is not None else math.nan,
        }
        if arm == "laser":
            kept = ("difference", "difference_low", "difference_high", "p_value")
            row |= {key: change[key] for key in kept} | cell.place
        rows.append(row)
    return rows


@asked("table2")
def check_table2(check: Check, study: Study) -> None:
    """Compare every cell of Table 2."""
    path = "tables/table2.csv"
    with check.guarded(path):
        keys = ("model", "dataset", "protocol", "metric", "arm")
        compare_table(check, study, path, expected_table2(study), keys, COLUMNS)


def _line(base: Row, laser: Row) -> list[str]:
    truth = laser["metric"] == "accuracy"
    places = 1 if truth else 3
    chance = laser["p_holm"]
    return [
        *(laser["model"], laser["dataset"], SHOWN[laser["metric"]]),
        estimate(base, "value", "low", "high", places),
        estimate(laser, "value", "low", "high", places),
        estimate(laser, "difference", "difference_low", "difference_high", places, sign=True),
        *("<0.001" if chance < 0.001 else f"{chance:.3f}", str(laser["n"])),
        f"[{laser['matrix']}, {laser['layer']}, {laser['rho']:g}]" if laser["matrix"] else "base",
        *(rounded(row["published"], 2 if truth else 3) for row in (base, laser)),
    ]


@asked("table2")
def check_table2_text(check: Check, study: Study) -> None:
    """Compare every cell of tables/table2.md; LaTeX is held against it with all tables."""
    path = "tables/table2.md"
    with check.guarded(path):
        every = expected_table2(study)
        pairs = list(zip(every[::2], every[1::2], strict=True))
        found = markdown_tables(study.text(path))
        check.same(path, "number of tables", len(found), len(study.protocols))
        for protocol, table in zip(study.protocols, found, strict=False):
            own = [_line(*pair) for pair in pairs if pair[0]["protocol"] == protocol]
            check.same(path, f"{protocol}: heads", table[0], list(HEADS))
            check.same(path, f"{protocol}: rows", len(table) - 1, len(own))
            for number, (cells, line) in enumerate(zip(table[1:], own, strict=False)):
                for cell, wanted, head in zip(cells, line, HEADS, strict=False):
                    check.same(path, f"{protocol}, row {number}, {head}", cell, wanted)
        ordered = [laser for name in study.protocols for _, laser in pairs if laser["protocol"] == name]
        stressed = [[] if laser["p_holm"] >= LEVEL else [_better(laser)] for laser in ordered]
        check.same(path, "heads of cells in bold, by row", _bold(study.text(path)), stressed)
        for protocol in study.protocols:
            note = _note([row for row in every if row["protocol"] == protocol])
            check.count += 1
            if note not in study.text(path):
                check.fail(path, f"{protocol}: notes", "no such line", note)


def _better(laser: Row) -> str:
    """Return the head of the better arm's cell."""
    return "LASER" if (laser["difference"] > 0) == (laser["metric"] != "loss") else "Base"


def _bold(text: str) -> list[list[str]]:
    """Return the heads of the cells in bold, for every line of a Markdown table below its head."""
    lines = [
        line[2:-2].split(" | ") for line in text.split("\n") if line.startswith("| ") and not line.startswith("| ---")
    ]
    below = [cells for cells in lines if cells[0] != HEADS[0]]
    return [[head for cell, head in zip(cells, HEADS, strict=False) if cell.startswith("**")] for cells in below]


def _note(rows: list[Row]) -> str:
    """Return what the table says about the paper's numbers."""
    if any(row["verdict"] == "not run" for row in rows):
        return "This study is of another size: no verdict on the paper's numbers follows from it."
    said = dict.fromkeys(f"{row['metric']}, {row['arm']}: {row['verdict']}" for row in rows)
    return "Verdicts: " + "; ".join(said) + "."
