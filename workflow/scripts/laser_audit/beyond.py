"""The tables of paraphrases and of top-k accuracy, computed anew from rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from laser_audit.cells import COMPARED, Tested, adjusted, all_tested, compared
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.paper import Paper, paper
from laser_audit.reading import Study, asked
from laser_audit.rows import base_path, grid, parts, sweep_path
from laser_audit.selection import choice, ordered
from laser_audit.splits import prepared
from laser_audit.sweeps import base_average, swept

PARAPHRASE = (
    *("model", "dataset", "protocol", "measure", *COMPARED, "matrix", "layer", "rho", "incomplete_facts"),
    "published_difference",
)
TOPK = ("model", "dataset", "protocol", "split", "k", "measure", "matrix", "layer", "rho", *COMPARED)
FACTS = {"facts right in all phrasings": all, "facts right in any phrasing": any}
PHRASINGS = ("rows in phrasings trained on", "rows in phrasings held out")
TRAINED = (0, 1)
"""The phrasings in which the pipeline's own corpora state their facts."""

FIRST, WHOLE = "first token of the answer", "whole answer as one token"
ROBUSTNESS = "GPT-J CounterFact paraphrase robustness gain (pp)"


@asked("paraphrase")
def check_paraphrase(check: Check, study: Study) -> None:
    """Compare every cell of the table of paraphrases."""
    path = "tables/paraphrase.csv"
    with check.guarded(path):
        rows: list[Row] = []
        for cell in all_tested(study, study.protocols):
            rows += _facts(study, cell) + _phrasings(study, cell)
        adjusted(rows)
        for row in rows:
            row["published_difference"] = _gain(paper(study), row)
        compare_table(check, study, path, rows, ("model", "dataset", "protocol", "measure"), PARAPHRASE)


def _gain(found: Paper, row: Row) -> float:
    names = found.cell(row["model"], row["dataset"])
    if names != ("GPT-J", "CounterFact") or row["measure"] != next(iter(FACTS)):
        return math.nan
    return float(found.texts[ROBUSTNESS]["laser_or_value"])


def _facts(study: Study, cell: Tested) -> list[Row]:
    asked = {name: row for name, row in cell.data.rows.items() if row["phrasing"] is not None}
    sizes: dict[str, int] = {}
    for one in asked.values():
        sizes[one["group"]] = sizes.get(one["group"], 0) + 1
    right: dict[str, dict[str, list[bool]]] = {}
    for place, name in enumerate(cell.ids):
        if name in asked:
            own = right.setdefault(asked[name]["group"], {"base": [], "laser": []})
            for arm, answers in own.items():
                answers.append(bool(cell.arms[arm]["correct"].iloc[place]))
    whole = {group: own for group, own in right.items() if len(own["base"]) == sizes[group]}
    if not whole:
        return []
    rows = []
    for measure, rule in FACTS.items():
        base, laser = ([float(rule(own[arm])) for own in whole.values()] for arm in ("base", "laser"))
        names = (*cell.name, measure)
        row: Row = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "measure": measure}
        row |= compared(base, laser, list(whole), names, True, *study.sampling) | cell.place
        rows.append(row | {"incomplete_facts": len(right) - len(whole)})
    return rows


def _phrasings(study: Study, cell: Tested) -> list[Row]:
    entry = next(one for one in study.settings["models"] if one["name"] == cell.model)
    if "corpus" not in entry["source"]:
        return []
    rows = []
    for measure, known in zip(PHRASINGS, (True, False), strict=True):
        asked = [cell.data.rows[name]["phrasing"] for name in cell.ids]
        places = [place for place, one in enumerate(asked) if one is not None and (one in TRAINED) == known]
        if not places:
            continue
        base, laser = ([float(cell.arms[arm]["correct"].iloc[place]) for place in places] for arm in ("base", "laser"))
        groups = [cell.groups[place] for place in places]
        row: Row = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "measure": measure}
        row |= compared(base, laser, groups, (*cell.name, measure), True, *study.sampling) | cell.place
        rows.append(row | {"incomplete_facts": None})
    return rows


@asked("topk")
def check_topk(check: Check, study: Study) -> None:
    """Compare every cell of the table of top-k accuracy."""
    path = "tables/topk.csv"
    with check.guarded(path):
        rows: list[Row] = []
        for cell in all_tested(study, study.protocols):
            rows += _topk_test(study, cell)
        adjusted(rows)
        for model, dataset in study.cells():
            for protocol in sorted(study.protocols):
                rows += _topk_validation(study, model, dataset, protocol)
        compare_table(check, study, path, rows, ("model", "dataset", "protocol", "split", "k", "measure"), TOPK)


def _measures() -> list[tuple[int, str]]:
    return [(k, measure) for k in (1, 5, 10) for measure in ((FIRST, WHOLE) if k > 1 else (FIRST,))]


def hits(part: Any, k: int, measure: str) -> list[float]:
    """Return whether each row's answer is among the k most probable tokens: its first one, or the whole."""
    if measure == FIRST:
        return [float(rank <= k) for rank in part["answer_rank"].tolist()]
    return [float(value) for value in part[f"in_top{k}"].tolist()]


def _topk_test(study: Study, cell: Tested) -> list[Row]:
    rows = []
    for k, measure in _measures():
        base, laser = (hits(cell.arms[arm], k, measure) for arm in ("base", "laser"))
        names = (*cell.name, "test", str(k), measure)
        row: Row = dict(zip(TOPK, (*cell.name, "test", k, measure), strict=False)) | cell.place
        rows.append(row | compared(base, laser, cell.groups, names, True, *study.sampling))
    return rows


def _topk_validation(study: Study, model: str, dataset: str, protocol: str) -> list[Row]:
    """Return the curve along ρ at the chosen place (the best candidate's, where base was chosen)."""
    matrices, _, rhos = grid(study, model)
    every = ordered(swept(study, model, dataset)[protocol], matrices)
    at = choice(base_average(study, model, dataset, protocol), every[0], protocol) or every[0]
    base = parts(study, base_path(model, dataset), ())[(protocol,)]
    groups = prepared(study, dataset).groups(base["id"].tolist())
    rows = []
    for rho in sorted(rhos, reverse=True):
        found = parts(study, sweep_path(model, dataset, at.layer, rho), ("matrix", "layer", "rho"))
        edited = found.get((protocol, at.matrix, at.layer, rho))
        if edited is None:
            continue
        rows += _curve_point(study, (model, dataset, protocol), at.matrix, at.layer, rho, base, edited, groups)
    return rows


def _curve_point(
    study: Study,
    name: tuple[str, str, str],
    matrix: str,
    layer: int,
    rho: float,
    base: Any,
    edited: Any,
    groups: Sequence[str],
) -> list[Row]:
    rows = []
    for k, measure in _measures():
        names = (*name, "validation", str(k), measure, f"{rho:g}")
        row: Row = dict(zip(TOPK, (*name, "validation", k, measure), strict=False))
        row |= {"matrix": matrix, "layer": layer, "rho": rho, "p_holm": math.nan}
        both = (hits(base, k, measure), hits(edited, k, measure))
        rows.append(row | compared(*both, groups, names, True, *study.sampling))
    return rows
