"""Choices that selection did not make: of other datasets, the generic one, and of rules for ρ; and their rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from laser_audit.findings import Check
from laser_audit.reading import Study, close, number_of
from laser_audit.rows import grid, parts, spectra_path, transferred
from laser_audit.selection import EXACT, by_protocol, reduction_path, selection_path

SITE = ("matrix", "layer", "rho", "kept_rank")

RANKS = {"edge": "above", "effective_rank": "effective_rank"}
"""Rule for ρ to the key of a matrix's spectrum that holds its rank."""

INTEGRATED = 1e-6
"""Relative difference that two ways of integration leave."""

Part = dict[str, Any]
"""One protocol's part of a selection file, whose scores `laser_audit.selection` has checked."""


def check_transfers(check: Check, study: Study) -> None:
    """Compare what every file says it transfers with the selections, and its rows with what it says."""
    spectra = study.matching("spectra/", ".json")
    paths = [path for folder in FILES for path in study.matching(f"{folder}/", ".parquet")]
    if not paths and not spectra:
        check.skipped = "the study has none"
    for path in spectra:
        with check.guarded(path):
            _spectra(check, study, path)
    for path in paths:
        with check.guarded(path):
            folder, model, file = path.split("/")
            FILES[folder](check, study, path, model, file.removesuffix(".parquet"))


def _file(check: Check, study: Study, path: str, model: str, dataset: str) -> None:
    names = transferred(study, model)
    check.same(path, "its dataset among those of the study's transfer", dataset in names, True)
    selected = {name: by_protocol(check, study, selection_path(model, name), model, name) for name in names}
    said = study.spec(path)["transferred"]
    check.same(path, "spec.transferred: protocols", sorted(said), sorted(study.protocols))
    wanted: list[tuple[Any, ...]] = []
    for protocol in study.protocols:
        where, of_protocol = f"spec.transferred.{protocol}", {name: selected[name][protocol] for name in names}
        chosen = {name: part["chosen"] for name, part in of_protocol.items()}
        check.same(path, f"{where}.chosen_on", said[protocol]["chosen_on"], chosen)
        others = [part for name, part in of_protocol.items() if name != dataset]
        site, gain, count = generic(others, grid(study, model)[0], protocol)
        stored = said[protocol]["generic"]
        check.same(path, f"{where}.generic.chosen", stored["chosen"], site)
        check.same(path, f"{where}.generic.candidates", stored["candidates"], count)
        check.count += 1
        if not close(number_of(stored["gain"]), gain, EXACT):
            check.fail(path, f"{where}.generic.gain", stored["gain"], gain)
        applied = [choice for choice in (*chosen.values(), site) if choice not in (None, chosen[dataset])]
        wanted += {(protocol, choice["matrix"], choice["layer"], choice["rho"]) for choice in applied}
    check.same(path, "parts", sorted(map(str, parts(study, path))), sorted(map(str, wanted)))


def _ruled(check: Check, study: Study, path: str, model: str, dataset: str) -> None:
    """Compare what rules for ρ chose with the selection's candidates that each of them allows."""
    matrices, _, rhos = grid(study, model)
    described = study.json(spectra_path(model))["matrices"]
    selected = by_protocol(check, study, selection_path(model, dataset), model, dataset)
    said = study.spec(path)["ruled"]
    check.same(path, "spec.ruled: protocols", sorted(said), sorted(study.protocols))
    wanted: list[tuple[Any, ...]] = []
    for protocol, part in selected.items():
        check.same(path, f"spec.ruled.{protocol}: rules", sorted(said[protocol]), sorted(RANKS))
        applied = set()
        for rule, key in RANKS.items():
            allowed = {(each["matrix"], each["layer"]): _nearest(each, key, rhos) for each in described}
            left = [each for each in part["candidates"] if each["rho"] == allowed[each["matrix"], each["layer"]]]
            site, _, count = generic([part | {"candidates": left}], matrices, protocol)
            check.same(path, f"spec.ruled.{protocol}.{rule}.chosen", said[protocol][rule]["chosen"], site)
            check.same(path, f"spec.ruled.{protocol}.{rule}.candidates", said[protocol][rule]["candidates"], count)
            if site is not None and site != part["chosen"]:
                applied.add((protocol, site["matrix"], site["layer"], site["rho"]))
        wanted += applied
    check.same(path, "parts", sorted(map(str, parts(study, path))), sorted(map(str, wanted)))


def _nearest(described: dict[str, Any], key: str, rhos: Sequence[float]) -> float:
    share = number_of(described[key]) / min(described["shape"])
    return min(sorted(rhos), key=lambda rho: abs(rho - share))


def _spectra(check: Check, study: Study, path: str) -> None:
    """Compare every matrix's shape and effective rank with the reductions, and its edge with its median."""
    content = study.json(path)
    model = content["model"]
    check.same(path, "its place", path, spectra_path(model))
    matrices, layers, rhos = grid(study, model)
    places = [(layer, matrix) for layer in layers for matrix in matrices]
    check.same(path, "matrices", [(each["layer"], each["matrix"]) for each in content["matrices"]], places)
    for each in content["matrices"]:
        where = f"{each['matrix']} of layer {each['layer']}"
        record = study.json(reduction_path(model, each["layer"], rhos[0]))["matrices"][each["matrix"]]
        check.same(path, f"{where}: shape", each["shape"], record["shape"])
        small, large = sorted(each["shape"])
        noise = number_of(each["median"]) / math.sqrt(large * _median_of_noise(small / large))
        for key, value in (
            ("effective_rank", record["effective_rank"]),
            ("noise", noise),
            ("edge", noise * (math.sqrt(small) + math.sqrt(large))),
        ):
            check.count += 1
            if not close(number_of(each[key]), number_of(value), INTEGRATED):
                check.fail(path, f"{where}: {key}", each[key], value)
        check.same(path, f"{where}: above, of all", 0 <= each["above"] <= small, True)


@lru_cache(maxsize=256)
def _median_of_noise(ratio: float) -> float:
    """Return the median of Marchenko and Pastur's law, at the angle up to which its density holds one half."""
    count = 20_000
    angles = (np.arange(count) + 0.5) * math.pi / count
    # x = 1 + ratio - 2 sqrt(ratio) cos(angle), from the lower end to the upper one.
    places = 1 + ratio - 2 * math.sqrt(ratio) * np.cos(angles)
    held = np.cumsum(2 * np.sin(angles) ** 2 / (math.pi * places)) * math.pi / count
    angle = float(np.interp(0.5, held, angles + math.pi / count / 2))
    return 1 + ratio - 2 * math.sqrt(ratio) * math.cos(angle)


def generic(
    selected: Sequence[Part], matrices: Sequence[str], protocol: str
) -> tuple[dict[str, Any] | None, float, int]:
    """Return the generic choice of some datasets (None for base), its mean standardised gain, and of how many it is."""
    found: list[tuple[tuple[Any, ...], float, float, dict[str, Any]]] = []
    base_losses = [_loss(part["validation"]["base"]) for part in selected]
    by_place = [{_place(candidate): candidate for candidate in part["candidates"]} for part in selected]
    for place, candidate in by_place[0].items():
        if not all(place in others for others in by_place):
            continue
        alike = [others[place] for others in by_place]
        gains = [_standardised(each, part["validation"]["base"]) for each, part in zip(alike, selected, strict=True)]
        gain = math.fsum(gains) / len(gains)
        loss = math.fsum(_loss(each) for each in alike) / len(alike)
        overflows = not math.isfinite(loss)
        ties = (-candidate["layer"], matrices.index(candidate["matrix"]), candidate["rho"])
        key = (overflows, -gain, 0.0 if overflows else loss, *ties)
        found.append((key, gain, loss, {name: candidate[name] for name in SITE}))
    _, gain, loss, site = min(found, key=lambda entry: entry[0])
    base_loss = math.fsum(base_losses) / len(base_losses)
    better = math.isfinite(loss) and (gain > 0 or (gain == 0 and loss < base_loss))
    if protocol == "corrected" and not better:
        return None, 0.0, len(found)
    return site, gain, len(found)


FILES = {"transfer": _file, "rank_rules": _ruled}
"""Folder to the function that compares one of its files."""


def _place(candidate: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(candidate[name] for name in SITE)


def _standardised(scores: Any, base: dict[str, Any]) -> float:
    """Return the gain over base, divided by the deviation of base's rows with one right and one wrong row added."""
    share = (number_of(base["accuracy"]) / 100 * base["n"] + 1) / (base["n"] + 2)
    return (number_of(scores["accuracy"]) - number_of(base["accuracy"])) / 100 / math.sqrt(share * (1 - share))


def _loss(scores: Any) -> float:
    return math.inf if scores["loss"] is None else number_of(scores["loss"])
