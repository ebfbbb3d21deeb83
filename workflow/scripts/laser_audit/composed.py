"""Compositions over layers: the greedy rule applied anew to every score on file, their table, and Figure 4."""

from __future__ import annotations

import json
import math
from typing import Any

from laser_audit.averages import Average
from laser_audit.base import RERUN
from laser_audit.cells import ARMS, Tested, adjusted, compared, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.numbers import interval, mean, stream
from laser_audit.paper import paper
from laser_audit.reading import NOT_ASKED, Study, asked, number_of, text_of
from laser_audit.rows import grid, parts
from laser_audit.selection import by_protocol, kept_of, reduction_path
from laser_audit.sweeps import base_average, swept

COMPOSE = (
    *("model", "dataset", "protocol", "metric", "arm", "value", "low", "high", "n", "edits", "interventions"),
    *("difference", "difference_low", "difference_high", "p_value", "p_holm"),
    *("over_laser", "over_laser_low", "over_laser_high", "over_laser_p", "over_laser_p_holm"),
    *("validation_base", "validation_composed", "validation_n", "published"),
)
FIG4 = (
    *("model", "dataset", "protocol", "step", "layer", "matrix", "rho", "accepted", "edits"),
    *("validation_accuracy", "validation_best", "validation_n", "test_accuracy", "test_low", "test_high", "test_n"),
)
PLACE = ("matrix", "layer", "rho", "kept_rank")
PRINTED = "GPT-J CounterFact accuracy after composing LASER over layers"

TIED = {"fp32": 0.005, "fp16": 0.03, "bf16": 0.03}
"""The share of rows that may be right in one run and wrong in another, by precision: those as good as tied."""


def _search_path(model: str, dataset: str) -> str:
    return f"compose/{model}/{dataset}.json"


def check_compose(check: Check, study: Study) -> None:
    """Follow every search by its rule, and compare every cell of the table of compositions."""
    if not study.cells_of("compose"):
        check.skipped = NOT_ASKED
        return
    for model, dataset in study.cells_of("compose"):
        path = _search_path(model, dataset)
        with check.guarded(path):
            found = by_protocol(check, study, path, model, dataset)
            for protocol, own in found.items():
                _search(check, study, path, (model, dataset, protocol), own)
            rows = path.removesuffix(".json") + ".parquet"
            chosen = {protocol: own["chosen"] for protocol, own in found.items()}
            check.same(rows, "spec.chosen", study.spec(rows)["chosen"], chosen)
            steps = sorted((protocol, step) for protocol, edits in chosen.items() for step in range(len(edits) + 1))
            check.same(rows, "steps", sorted((one, int(step)) for one, step in parts(study, rows, ("step",))), steps)
    if study.wants("compose"):
        path = "tables/compose.csv"
        with check.guarded(path):
            keys = ("model", "dataset", "protocol", "metric", "arm")
            compare_table(check, study, path, _table(study), keys, COMPOSE)


def _worth(one: Row) -> tuple[bool, float, float]:
    """Return what the rule compares: a finite loss, then accuracy, then the lower loss."""
    if one["loss"] is None:
        return False, 0.0, 0.0
    return True, number_of(one["accuracy"]), -number_of(one["loss"])


def _search(check: Check, study: Study, path: str, cell: tuple[str, str, str], own: Row) -> None:
    """Follow one search: its places in their order, the best rho of each, and whether it may be accepted."""
    model, dataset, protocol = cell
    matrices, layers, _ = grid(study, model)
    matrices = study.settings["compose"].get("matrices", matrices)
    where = f"protocols.{protocol}"
    _near(check, study, path, f"{where}.base", own["base"], base_average(study, model, dataset, protocol))
    places = [(layer, matrix) for layer in sorted(layers, reverse=True) for matrix in matrices]
    check.same(path, f"{where}.steps: places", [(one["layer"], one["matrix"]) for one in own["steps"]], places)
    alone = {(one.matrix, one.layer, one.rho): one for one in swept(study, model, dataset)[protocol]}
    best = _worth(own["base"])
    accepted: list[Row] = []
    for number, step in enumerate(own["steps"]):
        here = f"{where}.steps[{number}]"
        _candidates(check, study, path, here, model, step, own["base"]["n"])
        for one in [] if accepted else step["candidates"]:
            # Nothing was accepted yet, so that this is the sweep's own single edit.
            single = alone.get((step["matrix"], step["layer"], number_of(one["rho"])))
            if single is not None:
                _near(check, study, path, f"{here}, rho {one['rho']:g}, as in the sweep", one, single)
        first = max(step["candidates"], key=lambda one: (_worth(one), -number_of(one["rho"])))
        for key, value in first.items():
            check.same(path, f"{here}.{key}", step[key], value)
        check.same(path, f"{here}.accepted", step["accepted"], _worth(first) > best)
        if _worth(first) > best:
            best = _worth(first)
            accepted.append({key: step[key] for key in PLACE})
    check.same(path, f"{where}.chosen", own["chosen"], accepted)


def _candidates(check: Check, study: Study, path: str, where: str, model: str, step: Row, n: int) -> None:
    """Hold the rhos that were tried at a place, their kept ranks and numbers of rows against what they must be."""
    rhos = sorted(float(rho) for rho in study.settings["compose"]["rhos"])
    tried = step["candidates"]
    check.same(path, f"{where}.candidates: rhos", sorted(number_of(one["rho"]) for one in tried), rhos)
    # The shape stands in the record of any ρ, if the study decomposes the matrix at all.
    record = study.json(reduction_path(model, step["layer"], grid(study, model)[2][0]))["matrices"]
    for one in tried:
        check.same(path, f"{where}, rho {one['rho']:g}, n", one["n"], n)
        if step["matrix"] in record:
            kept = kept_of(number_of(one["rho"]), min(record[step["matrix"]]["shape"]))
            check.same(path, f"{where}, rho {one['rho']:g}, kept_rank", one["kept_rank"], kept)


def _near(check: Check, study: Study, path: str, where: str, found: Row, one: Average) -> None:
    """Compare scores on file with the averages of the sweep's rows, which other batches may have given."""
    dtype = text_of(study.json(path)["spec"]["model"]["dtype"])
    check.same(path, f"{where}: n", found["n"], one.n)
    check.count += 2
    rows = max(1, math.floor(TIED[dtype] * one.n))
    if not abs(number_of(found["accuracy"]) - one.accuracy) <= 100 * (rows + 1e-6) / one.n:
        check.fail(path, f"{where}: accuracy", found["accuracy"], one.accuracy)
    loss = math.inf if found["loss"] is None else number_of(found["loss"])
    if not (loss == one.loss or abs(loss - one.loss) <= RERUN[dtype]):
        check.fail(path, f"{where}: loss", found["loss"], one.loss)


def _table(study: Study) -> list[Row]:
    rows: list[Row] = []
    for model, dataset in study.cells_of("compose"):
        search = study.json(_search_path(model, dataset))["protocols"]
        for protocol in study.protocols:
            for metric in ("accuracy", "loss"):
                rows += _arms(study, tested(study, model, dataset, protocol), search[protocol], metric)
    adjusted(rows)
    over = [{"protocol": row["protocol"], "p_value": row["over_laser_p"]} for row in rows]
    adjusted(over)
    for row, one in zip(rows, over, strict=True):
        row["over_laser_p_holm"] = one.get("p_holm", math.nan)
    return rows


def _arms(study: Study, cell: Tested, search: Row, metric: str) -> list[Row]:
    """Return base, the best single intervention and the composition, of one metric."""
    seed, resamples = study.sampling
    truth = metric == "accuracy"
    column, scale = ("correct", 100.0) if truth else ("loss", 1.0)
    last = _step(study, cell, len(search["chosen"]))
    if last["id"].tolist() != cell.ids:
        raise ValueError("the composition holds other rows than the test")
    values = {arm: cell.values(arm, column) for arm in ARMS}
    values["composed"] = [float(value) for value in last[column].tolist()]
    edits = {"base": [], "laser": [cell.chosen] if cell.chosen else [], "composed": search["chosen"]}
    taken = [step for step in search["steps"] if step["accepted"]]
    names = (*cell.name, metric)
    rows = []
    for arm, own in values.items():
        scaled = [scale * value for value in own]
        low, high = interval(scaled, cell.groups, stream(seed, *names, "interval"), resamples)
        row: Row = dict.fromkeys(COMPOSE, math.nan)
        row |= dict(zip(("model", "dataset", "protocol", "metric", "arm"), (*names, arm), strict=True))
        row |= {"value": mean(scaled), "low": low, "high": high, "n": len(own), "edits": len(edits[arm])}
        row["interventions"] = json.dumps([[one["matrix"], one["layer"], one["rho"]] for one in edits[arm]])
        row["validation_base"] = number_of(search["base"][metric])
        row["validation_composed"] = number_of((taken[-1] if taken else search["base"])[metric])
        row |= {"validation_n": search["base"]["n"], "published": _printed(study, cell, metric, arm)}
        if arm != "base":
            named = names if arm == "laser" else (*names, arm)
            change = compared(values["base"], own, cell.groups, named, truth, seed, resamples)
            row |= _renamed(change, "difference") | {"p_value": change["p_value"]}
        if arm == "composed":
            change = compared(values["laser"], own, cell.groups, (*names, "over laser"), truth, seed, resamples)
            row |= _renamed(change, "over_laser") | {"over_laser_p": change["p_value"]}
        rows.append(row)
    return rows


def _renamed(change: Row, name: str) -> Row:
    return {f"{name}{end}": change[f"difference{end}"] for end in ("", "_low", "_high")}


def _step(study: Study, cell: Tested, step: int) -> Any:
    """Return the test rows under the first so many accepted edits."""
    return parts(study, f"compose/{cell.model}/{cell.dataset}.parquet", ("step",))[cell.protocol, step]


def _printed(study: Study, cell: Tested, metric: str, arm: str) -> float:
    """Return the paper's number: of Table 1, or for the composition the one in its text."""
    found = paper(study)
    if arm != "composed":
        text = found.text(cell.model, cell.dataset, metric, arm)
        return float(text) if text is not None else math.nan
    if found.cell(cell.model, cell.dataset) != ("GPT-J", "CounterFact") or metric != "accuracy":
        return math.nan
    return float(found.texts[PRINTED]["laser_or_value"])


@asked("fig4")
def check_fig4(check: Check, study: Study) -> None:
    """Compare the data of Figure 4 with the searches and the test rows of every accepted step."""
    for model, dataset in study.cells_of("compose"):
        for protocol in study.protocols:
            path = f"figures/fig4/{model}/{dataset}-{protocol}.csv"
            with check.guarded(path):
                search = study.json(_search_path(model, dataset))["protocols"][protocol]
                rows = _course(study, tested(study, model, dataset, protocol), search)
                compare_table(check, study, path, rows, ("step",), FIG4)


def _course(study: Study, cell: Tested, search: Row) -> list[Row]:
    """Return a row for base and for every place that the search went through."""
    seed, resamples = study.sampling
    base = {"layer": None, "matrix": "", "rho": None, "accepted": True, "accuracy": search["base"]["accuracy"]}
    best, edits, rows = 0.0, 0, []
    for number, step in enumerate([base, *search["steps"]]):
        row: Row = dict.fromkeys(FIG4, None) | dict(zip(("model", "dataset", "protocol"), cell.name, strict=True))
        row |= {"step": number} | {key: step[key] for key in ("layer", "matrix", "rho", "accepted")}
        if step["accepted"]:
            best, edits = number_of(step["accuracy"]), edits + (number > 0)
            values = [100.0 * float(value) for value in _step(study, cell, edits)["correct"].tolist()]
            low, high = interval(values, cell.groups, stream(seed, *cell.name, "fig4"), resamples)
            row |= {"test_accuracy": mean(values), "test_low": low, "test_high": high, "test_n": len(values)}
        row |= {"validation_accuracy": number_of(step["accuracy"]), "validation_best": best}
        rows.append(row | {"validation_n": search["base"]["n"], "edits": edits})
    return rows
