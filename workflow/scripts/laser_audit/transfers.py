"""Choices that are applied to other datasets: whose they are, the generic one by its rule, and which were evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, close, number_of
from laser_audit.rows import grid, parts, transferred
from laser_audit.selection import EXACT, by_protocol, selection_path

SITE = ("matrix", "layer", "rho", "kept_rank")

Part = dict[str, Any]
"""One protocol's part of a selection file, whose scores `laser_audit.selection` has checked."""


def check_transfers(check: Check, study: Study) -> None:
    """Compare what every file says it transfers with the selections, and its rows with what it says."""
    paths = study.matching("transfer/", ".parquet")
    if not paths:
        check.skipped = "the study has none"
    for path in paths:
        with check.guarded(path):
            _, model, file = path.split("/")
            _file(check, study, path, model, file.removesuffix(".parquet"))


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


def _place(candidate: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(candidate[name] for name in SITE)


def _standardised(scores: Any, base: dict[str, Any]) -> float:
    """Return the gain over base, divided by the deviation of base's rows with one right and one wrong row added."""
    share = (number_of(base["accuracy"]) / 100 * base["n"] + 1) / (base["n"] + 2)
    return (number_of(scores["accuracy"]) - number_of(base["accuracy"])) / 100 / math.sqrt(share * (1 - share))


def _loss(scores: Any) -> float:
    return math.inf if scores["loss"] is None else number_of(scores["loss"])
