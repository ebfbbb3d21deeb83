"""Per-example result files: each must hold exactly its rows, in order, and no row may contradict itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, remembered, text_of
from laser_audit.scores import contradictions
from laser_audit.splits import Prepared, prepared

TYPES = {
    "correct": "bool",
    "loss": "float64",
    "logprob": "float64",
    "answer_tokens": "int32",
    "answer_rank": "int32",
    "in_top5": "bool",
    "in_top10": "bool",
}
SCORES = ("id", "correct", "loss", "logprob", "answer_tokens", "prediction", "answer_rank", "in_top5", "in_top10")
PLAYED = ("return", "steps")
"""Further columns of rows of policies."""

SWEPT = ("matrix", "layer", "rho")

FOLDERS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "sweep": (SWEPT, "validation", ()),
    "test": (("arm",), "test", ()),
    "landscape": (("kind", "matrix", "layer", "rho"), "validation", ()),
    "choices": (("choice",), "test", ()),
    "seeds": (("seed",), "test", ()),
    "compose": (("step",), "test", ()),
    "transfer": (SWEPT, "test", ()),
    "rank_rules": (SWEPT, "test", ()),
    "prompts": (("variant", "arm"), "test", ()),
    "higher_order": (("percent",), "test", ("similarity",)),
    "baselines": (("baseline",), "test", ()),
}
"""Folder to the columns that distinguish repetitions of rows, the side, and further columns; base's rows have none."""

SOME_ROWS = ("prompts", "higher_order")
"""Folders whose files hold only some of the test rows."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Average:
    """Scores of one intervention (or of base) over validation rows.

    Attributes:
        matrix, layer, rho: the intervention; empty, -1 and 1 for base.
        n: number of rows.
        accuracy: percent.
        loss: nats; infinite if a row has none.
    """

    matrix: str
    layer: int
    rho: float
    n: int
    accuracy: float
    loss: float


@lru_cache(maxsize=8)
def parts(study: Study, path: str) -> dict[Key, pd.DataFrame]:
    """Map (protocol, labels…) to the rows of a result file; raise Unreadable if a column has another type."""
    labels, _ = labels_of(path)
    played = [name for name in PLAYED if name in study.columns(path)]
    frame = study.frame(path, ["protocol", *labels, *SCORES, *played])
    for name, kind in TYPES.items():
        # A rank is missing where the model overflowed, and a column with gaps is read as float64.
        gaps = name == "answer_rank" and bool(frame[name].isna().any())
        if str(frame[name].dtype) != ("float64" if gaps else kind):
            raise Unreadable(path, f"column {name} is {frame[name].dtype}, not {kind}")
    for name in ("id", "prediction", "protocol"):
        if not frame[name].map(lambda value: isinstance(value, str)).all():
            raise Unreadable(path, f"column {name} holds something that is not text")
    grouped = frame.groupby(["protocol", *labels], sort=False, dropna=False)
    return {tuple(key): part.reset_index(drop=True) for key, part in grouped}


def labels_of(path: str) -> tuple[tuple[str, ...], str]:
    """Return the label columns of a result file, and its side of the split."""
    labels, side, _ = FOLDERS[path.partition("/")[0]]
    return (() if path.startswith("sweep/") and path.endswith("/base.parquet") else labels), side


@remembered
def averages(study: Study, path: str) -> dict[Key, Average]:
    """Map (protocol, labels…) to the averages of its rows, in the file's order."""
    labels, _ = labels_of(path)
    return {key: _average(dict(zip(labels, key[1:], strict=True)), part) for key, part in parts(study, path).items()}


@remembered
def faults(study: Study, path: str) -> list[tuple[str, Any, Any]]:
    """Return (where, found, expected) of faults in the set, the order and the content of a result file's rows."""
    labels, side = labels_of(path)
    spec = study.spec(path)
    data = prepared(study, text_of(spec["dataset"]["name"]))
    result: list[tuple[str, Any, Any]] = []
    for key, part in parts(study, path).items():
        protocol, where = key[0], ", ".join(map(str, key))
        left_out = left_out_of(spec, dict(zip(labels, key[1:], strict=True)))
        wanted = [name for name in data.side(protocol, side) if name not in left_out]
        ids = part["id"].tolist()
        if path.startswith(SOME_ROWS):
            belongs = set(ids)
            wanted = [name for name in wanted if name in belongs]
        else:
            wanted = wanted[: limit_of(study, path)]
        if ids != wanted:
            result.append(_difference(where, ids, wanted, data, side))
        # Under `published` the answer is searched for in the prompt too, and reworded prompts are not stored.
        elif protocol == "corrected" or "variant" not in labels or key[1] == "original":
            result += contradictions(study, spec, data, protocol, where, part)
    return result


def limit_of(study: Study, path: str) -> int | None:
    """Return the largest number of rows that the study's settings allow in a result file; None for all."""
    rows: int | None = study.settings["landscape"].get("rows") if path.startswith("landscape/") else None
    return rows


def left_out_of(spec: dict[str, Any], labels: dict[str, Any]) -> dict[str, str]:
    """Map the id of each row that a run could not ask to the reason; each wording of a prompt has its own rows.

    A file without rows (nothing left to search in this layer) names no run and left nothing out.
    """
    named = spec.get("run", {}).get("left_out", {})
    return dict(named[labels["variant"]] if "variant" in labels else named)


def _average(labels: dict[str, Any], part: pd.DataFrame) -> Average:
    losses = part["loss"].tolist()
    infinite = any(not math.isfinite(value) for value in losses)
    return Average(
        str(labels.get("matrix", "")),
        int(labels.get("layer", -1)),
        float(labels.get("rho", 1)),
        len(losses),
        100 * sum(part["correct"].tolist()) / len(losses),
        math.inf if infinite else math.fsum(losses) / len(losses),
    )


def _difference(where: str, ids: list[str], wanted: list[str], data: Prepared, side: str) -> tuple[str, Any, Any]:
    """Describe in one line how a list of ids differs from the expected one."""
    counted, belong = Counter(ids), set(wanted)
    for what, names in (
        ("twice", [name for name, count in counted.items() if count > 1]),
        ("unknown to the dataset", [name for name in ids if name not in data.rows]),
        ("from the other side of the split, or left out", [n for n in ids if n in data.rows and n not in belong]),
        ("missing", [name for name in wanted if name not in counted]),
    ):
        if names:
            return f"{where}: {len(names)} ids {what}", names[:3], f"the {len(wanted)} {side} rows"
    index = next(index for index, pair in enumerate(zip(ids, wanted, strict=True)) if pair[0] != pair[1])
    return f"{where}: order of rows, row {index}", ids[index], wanted[index]


def base_path(model: str, dataset: str) -> str:
    """Return the path of the base model's validation rows."""
    return f"sweep/{model}/{dataset}/base.parquet"


def test_path(model: str, dataset: str) -> str:
    """Return the path of the test rows."""
    return f"test/{model}/{dataset}.parquet"


def sweep_path(model: str, dataset: str, layer: int, rho: float) -> str:
    """Return the path of the validation rows of one reduction."""
    return f"sweep/{model}/{dataset}/layer{layer}/rho{rho:g}.parquet"


def grid(study: Study, model: str) -> tuple[list[str], list[int], list[float]]:
    """Return the matrices, layers and values of ρ that the study searches in a model."""
    searched = study.settings["grid"][model]
    rhos = [float(rho) for rho in study.settings["rhos"]]
    return list(searched["matrices"]), [int(layer) for layer in searched["layers"]], rhos


def sweep_paths(study: Study, model: str, dataset: str) -> list[str]:
    """Return the paths of the validation rows of every reduction of a cell."""
    _, layers, rhos = grid(study, model)
    return [sweep_path(model, dataset, layer, rho) for layer in layers for rho in rhos]


def result_files(study: Study) -> list[str]:
    """Return the path of every per-example file: those that each study has, and those of further evaluations."""
    paths: list[str] = []
    for model, dataset in study.cells():
        paths += [base_path(model, dataset), test_path(model, dataset), *sweep_paths(study, model, dataset)]
    others = [
        path
        for folder in FOLDERS
        if folder not in ("sweep", "test")
        for path in study.matching(f"{folder}/", ".parquet")
    ]
    return paths + others


def check_rows(check: Check, study: Study) -> None:
    """Compare the rows of every result file with its side of the split, and each row with itself."""
    policies = {entry["name"] for entry in study.settings["models"] if "play" in entry}
    for path in result_files(study):
        with check.guarded(path):
            spec, (labels, _) = study.spec(path), labels_of(path)
            check.count += sum(average.n for average in averages(study, path).values())
            for where, value, expected in faults(study, path):
                check.fail(path, where, value, expected)
            more = PLAYED if spec["model"]["name"] in policies else FOLDERS[path.partition("/")[0]][2]
            check.same(path, "columns", study.columns(path), ["protocol", *labels, *SCORES, *more])
            with check.guarded(path, "labels"):
                _labels(check, study, path, labels)
            if path.startswith("higher_order/"):
                _repaired(check, study, path)
    check_left_out(check, study)


def _labels(check: Check, study: Study, path: str, labels: tuple[str, ...]) -> None:
    """Check that a file's labels agree with its spec and that it has exactly the required parts."""
    protocols, spec = study.protocols, study.spec(path)
    check.same(path, "spec.protocols", spec["protocols"], protocols)
    cell = text_of(spec["model"]["name"]), text_of(spec["dataset"]["name"])
    check.same(path, "its cell", "/".join(cell) in path, True)
    wanted: Sequence[Key] | None = None
    if not labels:
        wanted = [(protocol,) for protocol in protocols]
    elif labels == ("arm",):
        wanted = [(protocol, arm) for protocol in protocols for arm in ("base", "laser")]
    elif path.startswith("sweep/"):
        layer, rho = spec["layer"], spec["rho"]
        check.same(path, "its place", path, sweep_path(*cell, layer, rho))
        if study.settings["search"] == "exhaustive":
            wanted = [(protocol, matrix, layer, rho) for matrix in grid(study, cell[0])[0] for protocol in protocols]
    if wanted is not None:
        check.same(path, "parts", sorted(map(str, averages(study, path))), sorted(map(str, wanted)))


def check_left_out(check: Check, study: Study) -> None:
    """Compare which rows all runs of a cell left out, and why.

    Whether a row can be asked depends only on the model and the dataset, so every run of a cell must say the same.
    """
    said: dict[tuple[str, str, str], tuple[str, dict[str, str]]] = {}
    for path in result_files(study):
        with check.guarded(path):
            spec, (labels, side) = study.spec(path), labels_of(path)
            if "run" not in spec or path.startswith("higher_order/"):
                continue
            left_out = left_out_of(spec, dict.fromkeys(labels, "original"))
            data = prepared(study, text_of(spec["dataset"]["name"]))
            sides = {name for protocol in study.protocols for name in data.side(protocol, side)}
            check.same(path, "rows left out that are not of its side", sorted(set(left_out) - sides)[:3], [])
            cell = (text_of(spec["model"]["name"]), text_of(spec["dataset"]["name"]), side)
            first, others = said.setdefault(cell, (path, left_out))
            if not path.startswith(SOME_ROWS) and limit_of(study, path) is None:
                check.same(path, f"spec.run.left_out (and that of {first})", left_out, others)


def _repaired(check: Check, study: Study, path: str) -> None:
    """Check that the rows of the smallest components are those that base gets wrong and LASER gets right."""
    spec = study.spec(path)
    arms = parts(study, test_path(text_of(spec["model"]["name"]), text_of(spec["dataset"]["name"])))
    for (protocol, percent), part in parts(study, path).items():
        base, laser = (arms[protocol, arm].set_index("id")["correct"].to_dict() for arm in ("base", "laser"))
        wanted = [name for name in base if laser[name] and not base[name]]
        where = f"{protocol}, {percent}: rows that base has wrong and LASER right"
        check.same(path, where, part["id"].tolist(), wanted)
