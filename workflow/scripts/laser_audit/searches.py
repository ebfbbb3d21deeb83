"""Choices behind further evaluations: every composition's search by its rule, and the edit of the random seeds."""

from __future__ import annotations

import math
from typing import Any

from laser_audit.base import RERUN
from laser_audit.beside import beside, check_beside
from laser_audit.findings import Check
from laser_audit.paper import paper
from laser_audit.reading import Study, number_of, text_of
from laser_audit.rows import Average, grid, parts
from laser_audit.selection import base_average, by_protocol, kept_of, reduction_path, selection_path, swept

PLACE = ("matrix", "layer", "rho")
TIED = {"fp32": 0.005, "fp16": 0.03, "bf16": 0.03}
"""Largest share of rows that may be right in one run and wrong in another (near ties), by precision."""

Scores = dict[str, Any]


def check_searches(check: Check, study: Study) -> None:
    """Follow every composition's search by its rule; compare the edit of the seeds with the choice and the paper."""
    searches = study.matching("compose/", ".json")
    seeds = study.matching("seeds/", ".parquet")
    if not searches and not seeds and not beside(study):
        check.skipped = "the study has none"
    for path in searches:
        with check.guarded(path):
            _, model, file = path.split("/")
            dataset = file.removesuffix(".json")
            protocols = by_protocol(check, study, path, model, dataset)
            for protocol, search in protocols.items():
                _search(check, study, path, (model, dataset, protocol), search)
            rows = path.removesuffix(".json") + ".parquet"
            chosen = {protocol: search["chosen"] for protocol, search in protocols.items()}
            check.same(rows, "spec.chosen", study.spec(rows)["chosen"], chosen)
            steps = sorted((protocol, step) for protocol, edits in chosen.items() for step in range(len(edits) + 1))
            check.same(rows, "steps", sorted((protocol, int(step)) for protocol, step in parts(study, rows)), steps)
    for path in seeds:
        with check.guarded(path):
            _seeds(check, study, path)
    for path in beside(study):
        with check.guarded(path):
            check_beside(check, study, path)


def _worth(scores: Scores) -> tuple[bool, float, float]:
    """Return the rule's key for comparisons: a finite loss, then accuracy, then the lower loss."""
    if scores["loss"] is None:
        return False, 0.0, 0.0
    return True, number_of(scores["accuracy"]), -number_of(scores["loss"])


def _search(check: Check, study: Study, path: str, cell: tuple[str, str, str], search: dict[str, Any]) -> None:
    """Follow one search: its matrices in order, the best ρ of each, and whether it is accepted."""
    model, dataset, protocol = cell
    matrices, layers, _ = grid(study, model)
    matrices = study.settings["compose"].get("matrices", matrices)
    where, base = f"protocols.{protocol}", search["base"]
    _near(check, study, path, f"{where}.base", base, base_average(study, model, dataset, protocol))
    places = [(layer, matrix) for layer in sorted(layers, reverse=True) for matrix in matrices]
    check.same(path, f"{where}.steps: places", [(step["layer"], step["matrix"]) for step in search["steps"]], places)
    alone = {
        (candidate.matrix, candidate.layer, candidate.rho): candidate
        for candidate in swept(study, model, dataset)[protocol]
    }
    rhos = sorted(float(rho) for rho in study.settings["compose"]["rhos"])
    best = _worth(base)
    accepted: list[Scores] = []
    for number, step in enumerate(search["steps"]):
        here, tried = f"{where}.steps[{number}]", step["candidates"]
        check.same(path, f"{here}.candidates: rhos", sorted(number_of(candidate["rho"]) for candidate in tried), rhos)
        # The record of any ρ has the shape, if the study decomposes the matrix at all.
        record = study.json(reduction_path(model, step["layer"], grid(study, model)[2][0]))["matrices"]
        for candidate in tried:
            check.same(path, f"{here}, rho {candidate['rho']:g}, n", candidate["n"], base["n"])
            if step["matrix"] in record:
                kept = kept_of(number_of(candidate["rho"]), min(record[step["matrix"]]["shape"]))
                check.same(path, f"{here}, rho {candidate['rho']:g}, kept_rank", candidate["kept_rank"], kept)
            single = alone.get((step["matrix"], step["layer"], number_of(candidate["rho"])))
            # Before anything is accepted, a candidate is the sweep's own single edit.
            if single is not None and not accepted:
                _near(check, study, path, f"{here}, rho {candidate['rho']:g}, as in the sweep", candidate, single)
        first = max(tried, key=lambda candidate: (_worth(candidate), -number_of(candidate["rho"])))
        for key, value in first.items():
            check.same(path, f"{here}.{key}", step[key], value)
        check.same(path, f"{here}.accepted", step["accepted"], _worth(first) > best)
        if _worth(first) > best:
            best = _worth(first)
            accepted.append({key: step[key] for key in (*PLACE, "kept_rank")})
    check.same(path, f"{where}.chosen", search["chosen"], accepted)


def _near(check: Check, study: Study, path: str, where: str, scores: Scores, average: Average) -> None:
    """Compare stored scores with averages of the sweep's rows, which may come from other batches."""
    dtype = text_of(study.json(path)["spec"]["model"]["dtype"])
    check.same(path, f"{where}: n", scores["n"], average.n)
    check.count += 2
    rows = max(1, math.floor(TIED[dtype] * average.n))
    if not abs(number_of(scores["accuracy"]) - average.accuracy) <= 100 * (rows + 1e-6) / average.n:
        check.fail(path, f"{where}: accuracy", scores["accuracy"], average.accuracy)
    loss = math.inf if scores["loss"] is None else number_of(scores["loss"])
    if not (loss == average.loss or abs(loss - average.loss) <= RERUN[dtype]):
        check.fail(path, f"{where}: loss", scores["loss"], average.loss)


def _seeds(check: Check, study: Study, path: str) -> None:
    """Compare the intervention whose seeds were drawn with its stated source."""
    _, model, file = path.split("/")
    dataset = file.removesuffix(".parquet")
    for protocol, edit in study.spec(path)["intervention"].items():
        selected = study.json(selection_path(model, dataset))["protocols"][protocol]
        sources = {"published choice": paper(study).choices.get(paper(study).cell(model, dataset))}
        sources["selected"] = selected["chosen"]
        if selected["chosen"] is None:
            sources["best candidate"] = selected["candidates"][0]
        source = sources.get(edit["source"])
        wanted = {key: source[key] for key in PLACE} if source else "a choice that there is"
        where = f"spec.intervention.{protocol} ({edit['source']})"
        check.same(path, where, {key: edit[key] for key in PLACE}, wanted)
