"""Table 1 and the verdicts on the paper's numbers, recomputed from the test rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from laser_audit.cells import ARMS, Tested, adjusted, all_tested, compared
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.numbers import constants, labels, mean, shares
from laser_audit.paper import paper, rules, shown, verdict
from laser_audit.reading import Study, remembered

COLUMNS = (
    *("model", "dataset", "metric", "arm", "value", "low", "high", "n", "p_value", "constant", "matrix", "layer"),
    *("rho", "kept_rank", "protocol", "difference", "difference_low", "difference_high", "p_holm", "prediction_shares"),
    *("answer_in_prompt", "published", "shows", "published_p_low", "published_p_high", "verdict", "dtype"),
)
SHOWN = ("shows", "published_p_low", "published_p_high")
NUMBERS = ("value", "low", "high", "difference", "difference_low", "difference_high")
VERDICTS = (*("model", "dataset", "metric", "arm", "published", *SHOWN, "protocol", "run_model", *NUMBERS, "verdict"),)
DIFFERENCE = ("difference", "difference_low", "difference_high", "p_value")
MOST = 8


@remembered
def expected_table1(study: Study) -> tuple[Row, ...]:
    """Return the rows of Table 1, in its order."""
    dtypes = {entry["name"]: entry["dtype"] for entry in study.settings["models"]}
    published, limits = paper(study), rules(study)
    rows: list[Row] = []
    constant: list[list[float]] = []
    for cell in all_tested(study, study.protocols):
        examples = [cell.data.rows[name] for name in cell.ids]
        offered = [row["options"] for row in examples]
        scores = constants(labels([row["answer"] for row in examples], offered), any(offered))
        for metric in ("accuracy", "loss"):
            rows += _pair(study, cell, metric, dtypes[cell.model], max(scores))
            constant += [scores, scores]
    adjusted([row for row in rows if row["arm"] == "laser"])
    data = {cell.dataset: cell.data for cell in all_tested(study, study.protocols[:1])}
    for row, scores in zip(rows, constant, strict=True):
        test_rows = published.test_rows.get(published.cell(row["model"], row["dataset"])[1])
        names = (row["model"], row["dataset"], row["metric"])
        text, base_text = published.text(*names, row["arm"]), published.text(*names, "base")
        row |= shown(limits, row, text, base_text, scores, test_rows)
        same_rows = row["protocol"] == "published"
        prepared = data[row["dataset"]]
        row["verdict"] = verdict(limits, row, text, base_text, not prepared.limited, same_rows, prepared.partial)
    return tuple(rows)


def both_arms(
    study: Study,
    cell: Tested,
    metric: str,
    base: Sequence[float],
    laser: Sequence[float],
    dtype: str,
    printed: Mapping[str, str | None],
) -> list[Row]:
    """Return the rows of base and LASER for one metric of a cell, with the columns that Tables 1 and 2 share.

    Args:
        study: the study.
        cell: the cell's test rows.
        metric: the metric's name in the table.
        base: values of base, one per row.
        laser: values of LASER, one per row.
        dtype: the model's dtype.
        printed: the paper's numbers as text, by arm.
    """
    change = compared(base, laser, cell.groups, (*cell.name, metric), metric == "accuracy", *study.sampling)
    rows = []
    for arm in ARMS:
        text = printed[arm]
        row: Row = dict.fromkeys(COLUMNS, math.nan) | {
            **{"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "metric": metric, "arm": arm},
            **{"value": change[arm], "low": change[f"{arm}_low"], "high": change[f"{arm}_high"], "n": change["n"]},
            **{"matrix": "", "layer": None, "prediction_shares": "", "dtype": dtype},
            "published": float(text) if text is not None else math.nan,
        }
        if arm == "laser":
            row |= {key: change[key] for key in DIFFERENCE} | cell.intervention
        rows.append(row)
    return rows


def _pair(study: Study, cell: Tested, metric: str, dtype: str, constant: float) -> list[Row]:
    """Return both arms of one metric of a cell of Table 1."""
    truth = metric == "accuracy"
    examples = [cell.data.rows[name] for name in cell.ids]
    open_rows = [row for row in examples if not row["options"]]
    in_prompt = 100 * mean([row["answer_in_prompt"] for row in open_rows]) if open_rows else math.nan
    printed = {arm: paper(study).text(cell.model, cell.dataset, metric, arm) for arm in ARMS}
    base, laser = (cell.values(arm, "correct" if truth else "loss") for arm in ARMS)
    rows = both_arms(study, cell, metric, base, laser, dtype, printed)
    for row in rows:
        row["answer_in_prompt"] = in_prompt
        if truth:
            predictions = cell.arms[row["arm"]]["prediction"].tolist()
            counted = list(shares(labels(predictions, [example["options"] for example in examples])).items())[:MOST]
            row |= {"constant": constant, "prediction_shares": json.dumps(dict(counted), ensure_ascii=False)}
    return rows


def check_table1(check: Check, study: Study) -> None:
    """Compare every cell of Table 1, but for further columns, which the replay alone makes again."""
    path = "tables/table1.csv"
    with check.guarded(path):
        expected = expected_table1(study)
        keys = ("model", "dataset", "protocol", "metric", "arm")
        compare_table(check, study, path, expected, keys, COLUMNS)


def check_verdicts(check: Check, study: Study) -> None:
    """Compare every cell of the list of the paper's numbers and their verdicts."""
    path = "tables/verdicts.csv"
    with check.guarded(path):
        compare_table(check, study, path, _verdicts(study), ("model", "dataset", "metric", "arm"), VERDICTS)


def _verdicts(study: Study) -> list[Row]:
    published, ours = paper(study), expected_table1(study)
    rows: list[Row] = []
    for (model, dataset, metric, arm), text in published.printed.items():
        start: dict[str, Any] = {"model": model, "dataset": dataset, "metric": metric, "arm": arm}
        start["published"] = float(text)
        same = [
            row
            for row in ours
            if (*published.cell(row["model"], row["dataset"]), row["metric"], row["arm"])
            == (model, dataset, metric, arm)
        ]
        for row in same:
            kept = {key: row[key] for key in ("protocol", *SHOWN, *NUMBERS, "verdict")}
            rows.append(start | kept | {"run_model": row["model"]})
        if not same:
            base_text = published.printed.get((model, dataset, metric, "base"))
            alone = shown(rules(study), start, text, base_text, [], published.test_rows.get(dataset))
            empty = dict.fromkeys(NUMBERS, math.nan)
            rows.append(start | empty | alone | {"protocol": "", "run_model": "", "verdict": "not run"})
    return rows
