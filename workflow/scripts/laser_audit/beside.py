"""Rows of clusters and of false targets: exactly the rows that base has, and the best clusters on validation tested."""

from __future__ import annotations

import math
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.rows import base_path, parts, test_path
from laser_audit.selection import selection_path

CLUSTERED, EFFICACY = "clustered/", "efficacy/"


def beside(study: Study) -> list[str]:
    """Return the files that `check_beside` is about."""
    return [path for folder in (CLUSTERED, EFFICACY) for path in study.matching(folder, ".parquet")]


def check_beside(check: Check, study: Study, path: str) -> None:
    """Check one file of clusters or of false targets."""
    _, model, file = path.split("/")
    cell = model, file.removesuffix(".parquet")
    (_clustered if path.startswith(CLUSTERED) else _efficacy)(check, study, path, cell)


def _clustered(check: Check, study: Study, path: str, cell: tuple[str, str]) -> None:
    settings, spec = study.settings["clustered"], study.spec(path)
    frame = study.frame(path, ["protocol", "split", "clusters", "rho", "id", "correct", "loss"])
    for protocol in study.protocols:
        selected = study.json(selection_path(*cell))["protocols"][protocol]
        place = selected["chosen"] or selected["candidates"][0]
        wanted = {key: place[key] for key in ("matrix", "layer")}
        check.same(path, f"spec.places.{protocol} (and the selection)", spec["places"][protocol], wanted)
        rows = frame[frame["protocol"] == protocol]
        validation = rows[rows["split"] == "validation"].groupby(["clusters", "rho"], sort=False)
        tried = [(count, float(rho)) for count in settings["clusters"] for rho in settings["rhos"]]
        check.same(path, f"{protocol}: clusters and rho", sorted(validation.groups), sorted(tried))
        ids = parts(study, base_path(*cell))[(protocol,)]["id"].tolist()[: settings.get("rows")]
        worth: dict[Any, tuple[float, float]] = {}
        for key, part in validation:
            check.same(path, f"{protocol}, {key}: validation rows", part["id"].tolist(), ids)
            losses = part["loss"].tolist()
            loss = math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.inf
            worth[key] = (round(100 * sum(part["correct"].tolist()) / len(part), 9), -round(loss, 9))
        best, tested = spec["chosen"][protocol], rows[rows["split"] == "test"]
        key = (best["clusters"], float(best["rho"]))
        check.same(path, f"spec.chosen.{protocol}: accuracy and loss", worth.get(key), max(worth.values()))
        check.same(path, f"{protocol}: tested", sorted(set(zip(tested["clusters"], tested["rho"], strict=True))), [key])
        ids = parts(study, test_path(*cell))[protocol, "base"]["id"].tolist()
        check.same(path, f"{protocol}: test rows", tested["id"].tolist(), ids)


def _efficacy(check: Check, study: Study, path: str, cell: tuple[str, str]) -> None:
    frame = study.frame(path, ["protocol", "arm", "id", "logprob", "answer_tokens"])
    known = set(study.frame(f"false_targets/{cell[1]}.parquet", ["id"])["id"]) - set(
        study.spec(path)["run"]["left_out"]
    )
    for protocol in study.protocols:
        ids = parts(study, test_path(*cell))[protocol, "base"]["id"].tolist()
        wanted = [name for name in ids if name in known]
        for arm in ("base", "laser"):
            rows = frame[(frame["protocol"] == protocol) & (frame["arm"] == arm)]
            check.same(path, f"{protocol}, {arm}: rows with a false target", rows["id"].tolist(), wanted)
            check.same(path, f"{protocol}, {arm}: log-probabilities above 0", int((rows["logprob"] > 0).sum()), 0)
    check.same(path, "arms", sorted(set(frame["arm"])), ["base", "laser"])
