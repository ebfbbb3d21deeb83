"""Per-example result files: that each holds exactly its rows, in order, and that no row contradicts itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd

from laser_audit.averages import Average, average
from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, remembered, text_of
from laser_audit.scores import contradictions
from laser_audit.splits import Prepared, prepared

TYPES = {
    **{"correct": "bool", "loss": "float64", "logprob": "float64", "answer_tokens": "int32", "answer_rank": "int32"},
    **{"in_top5": "bool", "in_top10": "bool"},
}
SCORES = ("id", *TYPES, "prediction")

Key = tuple[Any, ...]


@dataclass
class Scored:
    """A result file that was read and looked through.

    Attributes:
        path: the file.
        spec: what it carries.
        averages: (protocol, labels…) to the averages of its rows, in the file's order.
        problems: (where, found, expected) of what is wrong with which rows it holds.
        contradictions: the same, of rows that contradict themselves.
        count: number of rows.
    """

    path: str
    spec: dict[str, Any]
    averages: dict[Key, Average] = field(default_factory=dict)
    problems: list[tuple[str, Any, Any]] = field(default_factory=list)
    contradictions: list[tuple[str, Any, Any]] = field(default_factory=list)
    count: int = 0


@lru_cache(maxsize=8)
def parts(study: Study, path: str, labels: tuple[str, ...]) -> dict[Key, pd.DataFrame]:
    """Return (protocol, labels…) to the rows of a result file, indexed by place; columns have their types."""
    frame = study.frame(path, ["protocol", *labels, *SCORES])
    for name, kind in TYPES.items():
        # A rank is missing where the model overflowed, and a column with gaps is read as float64.
        gaps = name == "answer_rank" and bool(frame[name].isna().any())
        if str(frame[name].dtype) != ("float64" if gaps else kind):
            raise Unreadable(path, f"column {name} is {frame[name].dtype}, not {kind}")
    for name in ("id", "prediction", "protocol"):
        if not frame[name].map(lambda value: isinstance(value, str)).all():
            raise Unreadable(path, f"column {name} holds something that is no text")
    grouped = frame.groupby(["protocol", *labels], sort=False, dropna=False)
    return {tuple(key): part.reset_index(drop=True) for key, part in grouped}


@remembered
def scored(study: Study, path: str, labels: tuple[str, ...], side: str) -> Scored:
    """Read a result file and hold its rows against the prepared dataset that its spec names.

    Args:
        study: the study.
        path: the file.
        labels: its columns beside `protocol` that tell repetitions of the rows apart.
        side: `validation` or `test`.
    """
    spec = study.spec(path)
    dataset = text_of(spec["dataset_name"])
    data = prepared(study, dataset)
    found = Scored(path, spec)
    # A file without rows (nothing left to search in this layer) names no run and left nothing out.
    left_out = spec.get("run", {}).get("left_out", {})
    strangers = sorted(set(left_out) - set(data.rows))
    if strangers:
        found.problems.append(("rows named as left out", strangers[:3], "ids of the dataset"))
    for key, part in parts(study, path, labels).items():
        protocol = key[0]
        wanted = [name for name in data.side(protocol, side) if name not in left_out]
        if spec.get("rows") is not None:
            wanted = wanted[: int(spec["rows"])]
        where = ", ".join(str(one) for one in key)
        ids = part["id"].tolist()
        found.count += len(part)
        place = dict(zip(labels, key[1:], strict=True))
        found.averages[key] = average(
            str(place.get("matrix", "")), int(place.get("layer", -1)), float(place.get("rho", 1)), part
        )
        if ids == wanted:
            found.contradictions += contradictions(study, spec, data, protocol, where, part)
        else:
            found.problems.append(_difference(where, ids, wanted, data, side))
    return found


def _difference(where: str, ids: list[str], wanted: list[str], data: Prepared, side: str) -> tuple[str, Any, Any]:
    """Say in one line how a list of ids differs from the one that belongs there."""
    counted, belong = Counter(ids), set(wanted)
    twice = [name for name, count in counted.items() if count > 1]
    missing, extra = [name for name in wanted if name not in counted], [name for name in ids if name not in data.rows]
    other = [name for name in ids if name in data.rows and name not in belong]
    for what, names in (
        ("twice", twice),
        ("unknown to the dataset", extra),
        ("from the other side of the split, or left out", other),
        ("missing", missing),
    ):
        if names:
            return f"{where}: {len(names)} ids {what}", names[:3], f"the {len(wanted)} {side} rows"
    place = next(place for place, (one, right) in enumerate(zip(ids, wanted, strict=True)) if one != right)
    return f"{where}: order of rows, row {place}", ids[place], wanted[place]


def base_path(model: str, dataset: str) -> str:
    """Return the base model's validation rows."""
    return f"sweep/{model}/{dataset}/base.parquet"


def test_path(model: str, dataset: str) -> str:
    """Return the test rows."""
    return f"test/{model}/{dataset}.parquet"


def sweep_path(model: str, dataset: str, layer: int, rho: float) -> str:
    """Return the validation rows of one reduction."""
    return f"sweep/{model}/{dataset}/layer{layer}/rho{rho:g}.parquet"


def grid(study: Study, model: str) -> tuple[list[str], list[int], list[float]]:
    """Return matrices, layers and values of ρ that the study searches in a model."""
    own = study.settings["grid"][model]
    return list(own["matrices"]), [int(one) for one in own["layers"]], [float(one) for one in study.settings["rhos"]]


def files(study: Study) -> list[tuple[str, tuple[str, ...], str]]:
    """Return (path, labels, side) of every per-example file that the audit reads."""
    found: list[tuple[str, tuple[str, ...], str]] = []
    for model, dataset in study.cells():
        _, layers, rhos = grid(study, model)
        found.append((base_path(model, dataset), (), "validation"))
        paths = [sweep_path(model, dataset, layer, rho) for layer in layers for rho in rhos]
        found += [(path, ("matrix", "layer", "rho"), "validation") for path in paths]
        found.append((test_path(model, dataset), ("arm",), "test"))
    others = {"landscape": (("kind", "matrix", "layer", "rho"), "validation"), "choices": (("choice",), "test")}
    others |= {"seeds": (("seed",), "test"), "compose": (("step",), "test")}
    for folder, (labels, side) in others.items():
        found += [(path, labels, side) for path in study.matching(f"{folder}/", ".parquet")]
    return found


def check_rows(check: Check, study: Study) -> None:
    """Hold the rows of every result file against its side of the split."""
    for path, labels, side in files(study):
        with check.guarded(path):
            one = scored(study, path, labels, side)
            check.count += one.count
            for where, found, expected in one.problems:
                check.fail(path, where, found, expected)
            with check.guarded(path, "labels"):
                _labels(check, study, one, labels)


def _labels(check: Check, study: Study, one: Scored, labels: tuple[str, ...]) -> None:
    """Hold the labels of a file against its spec: every part that it must have, and no other."""
    protocols = study.protocols
    check.same(one.path, "spec.protocols", one.spec["protocols"], protocols)
    wanted: Sequence[Key] | None = None
    if not labels:
        wanted = [(protocol,) for protocol in protocols]
    elif labels == ("arm",):
        wanted = [(protocol, arm) for protocol in protocols for arm in ("base", "laser")]
    elif labels[0] == "matrix" and "gradient" not in one.spec:
        layer, rho = one.spec["layer"], one.spec["rho"]
        matrices = grid(study, one.spec["model"]["name"])[0]
        wanted = [(protocol, matrix, layer, rho) for matrix in matrices for protocol in protocols]
        check.same(one.path, "its place", one.path, sweep_path(*_cell(one.spec), layer, rho))
    if wanted is not None:
        check.same(one.path, "parts", sorted(map(str, one.averages)), sorted(map(str, wanted)))
    check.same(one.path, "its cell", "/".join(_cell(one.spec)) in one.path, True)


def _cell(spec: dict[str, Any]) -> tuple[str, str]:
    return text_of(spec["model"]["name"]), text_of(spec["dataset_name"])


def check_scores(check: Check, study: Study) -> None:
    """Look for rows that contradict themselves."""
    for path, labels, side in files(study):
        with check.guarded(path):
            one = scored(study, path, labels, side)
            check.count += one.count
            for where, found, expected in one.contradictions:
                check.fail(path, where, found, expected)
