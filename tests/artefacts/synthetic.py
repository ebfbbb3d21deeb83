"""A small study on disk: two models, two datasets, three layers, three rhos, made-up but realistic numbers."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laser.config.specs import FORMAT
from laser.io.files import write_json, write_parquet

MODELS = ("gpt-j-6b", "tiny-llama")
DATASETS = ("fever", "worldfacts")
MATRICES = ("u_in", "u_out")
LAYERS = (0, 2, 5)
RHOS = (0.9, 0.1, 0.01)
PROTOCOLS = ("published", "corrected")


@dataclass
class Study:
    folder: Path
    rows: list[Path] = field(default_factory=list)
    tests: list[Path] = field(default_factory=list)
    selections: list[Path] = field(default_factory=list)
    bases: list[Path] = field(default_factory=list)
    sweeps: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    records: list[Path] = field(default_factory=list)


def build(folder: Path, examples: int = 120, models=MODELS, datasets=DATASETS, layers=LAYERS, rhos=RHOS) -> Study:
    """Write a whole study below `folder`. The same arguments give the same bytes: what was made once is copied."""
    made = _made(examples, tuple(models), tuple(datasets), tuple(layers), tuple(rhos))
    shutil.copytree(made.folder, folder, dirs_exist_ok=True)

    def moved(paths: list[Path]) -> list[Path]:
        return [folder / path.relative_to(made.folder) for path in paths]

    sweeps = {cell: moved(paths) for cell, paths in made.sweeps.items()}
    lists = (moved(paths) for paths in (made.rows, made.tests, made.selections, made.bases))
    return Study(folder, *lists, sweeps, moved(made.records))


KEPT = tempfile.TemporaryDirectory(prefix="laser-synthetic-")


@functools.cache
def _made(examples: int, models: Any, datasets: Any, layers: Any, rhos: Any) -> Study:
    folder = Path(tempfile.mkdtemp(dir=KEPT.name))
    study = Study(folder)
    frames = {}
    for dataset in datasets:
        frames[dataset] = prepared(dataset, examples)
        path = folder / f"cache/data/{dataset}-0/rows.parquet"
        write_parquet(
            path, frames[dataset], {"dataset": {"name": dataset, "builder": dataset, "limit": None}, "code": "0"}
        )
        study.rows.append(path)
    for model in models:
        for layer in layers:
            study.records += _records(folder, model, layer, rhos)
        for dataset in datasets:
            _cell(study, model, dataset, frames[dataset], layers, rhos)
    return study


def prepared(dataset: str, count: int) -> pd.DataFrame:
    """Return rows as `prepare` writes them: fever-like with options, or three phrasings per fact and open answers."""
    draw = np.random.default_rng([1, len(dataset)])
    options = ["true", "false"] if dataset == "fever" else []
    size = 1 if options else 3
    cities = ["Paris", "Rome", "Oslo", "Lima", "Quito"]
    rows = []
    for index in range(count):
        group = index // size
        answer = options[int(draw.integers(2))] if options else " " + cities[group % len(cities)]
        rows.append(
            {
                "id": f"{dataset}-{index}",
                "group": f"{dataset}-g{group}",
                "text": f"claim {index}",
                "prompt": f"claim {index} is",
                "answer": answer,
                "options": options,
                "answer_in_prompt": bool(index % 10 == 0),
                "subject": None,
                "relation": None,
                "phrasing": None,
                "frequency": None,
            }
        )
    frame = pd.DataFrame(rows)
    frame["split_published"] = ["validation" if index < int(0.2 * count) else "test" for index in range(count)]
    groups = list(dict.fromkeys(frame["group"]))
    first = set(groups[: int(0.2 * len(groups))])
    frame["split_corrected"] = ["validation" if group in first else "test" for group in frame["group"]]
    return frame


def scored(frame: pd.DataFrame, accuracy: float, loss: float, seed: list[int]) -> pd.DataFrame:
    """Return per-example rows for a model with about this accuracy (0 to 1) and loss (nats)."""
    draw = np.random.default_rng(seed)
    noise = np.random.default_rng([7, len(frame)])
    correct = noise.random(len(frame)) + 0.02 * draw.standard_normal(len(frame)) < accuracy
    losses = np.maximum(0.01, loss + noise.standard_normal(len(frame)) + 0.1 * draw.standard_normal(len(frame)))
    wrong = {"true": "false", "false": "true"}
    predictions = [a.strip() if ok else wrong.get(a, "Bern") for a, ok in zip(frame["answer"], correct, strict=True)]
    rho = np.where(correct, 1, draw.integers(2, 40, len(frame))).astype("int32")
    return pd.DataFrame(
        {
            "id": frame["id"].to_numpy(),
            "correct": correct,
            "loss": losses,
            "logprob": -losses,
            "answer_tokens": np.ones(len(frame), dtype="int32"),
            "prediction": predictions,
            "answer_rank": rho,
            "in_top5": rho <= 5,
            "in_top10": rho <= 10,
        }
    )


def effect(matrix: str, layer: int, rho: float) -> tuple[float, float]:
    """Return made-up (accuracy, loss): late layers of u_in gain by strong reduction, early ones lose."""
    strength = (1 - rho) * (1 if matrix == "u_in" else 0.4)
    lift = strength * (layer - 2) / 3
    return 0.5 + 0.15 * lift, 3.0 - 0.6 * lift


def _cell(study: Study, model: str, dataset: str, frame: pd.DataFrame, layers: Any, rhos: Any) -> None:
    folder, place = study.folder, f"{model}/{dataset}"
    spec = {
        "study": "synthetic",
        "model": {"name": model, "dtype": "fp16", "key": f"{model}-0"},
        "format": FORMAT,
        "dataset": {"name": dataset, "key": f"{dataset}-0", "builder": dataset},
        "protocols": list(PROTOCOLS),
        "seed": 0,
    }
    seed = [2, len(model), len(dataset)]

    def parts(side: str, accuracy: float, loss: float, salt: int, **labels: Any) -> Iterator[pd.DataFrame]:
        for number, protocol in enumerate(PROTOCOLS):
            rows = frame[frame[f"split_{protocol}"] == side]
            own = scored(rows, accuracy, loss, [*seed, salt, number])
            for at, (name, value) in enumerate({"protocol": protocol, **labels}.items()):
                own.insert(at, name, value)
            yield own

    def write(path: Path, pieces: Any, extra: dict[str, Any]) -> Path:
        write_parquet(path, pd.concat(list(pieces), ignore_index=True), spec | extra)
        return path

    study.bases.append(write(folder / f"sweep/{place}/base.parquet", parts("validation", 0.5, 3.0, 0), {}))
    study.sweeps[model, dataset] = []
    for layer in layers:
        for rho in rhos:
            pieces = [
                part
                for number, matrix in enumerate(MATRICES)
                for part in parts(
                    "validation", *effect(matrix, layer, rho), 1 + number, matrix=matrix, layer=layer, rho=rho
                )
            ]
            path = folder / f"sweep/{place}/layer{layer}/rho{rho:g}.parquet"
            study.sweeps[model, dataset].append(write(path, pieces, {"layer": layer, "rho": rho}))
    best = {"matrix": "u_in", "layer": max(layers), "rho": min(rhos), "kept_rank": 40}
    # The second model on the second dataset is one where selection keeps base under the corrected protocol.
    kept_base = model == MODELS[-1] and dataset == DATASETS[-1]
    chosen = {"published": best, "corrected": None if kept_base else best}
    scores = {"accuracy": 50.0, "loss": 3.0, "n": int((frame["split_published"] == "validation").sum())}
    better = scores | {"accuracy": 65.0, "loss": 2.4}
    protocols = {
        name: {
            "chosen": one,
            "validation": {"base": scores, "chosen": better if one else scores},
            "candidates": [best | better],
        }
        for name, one in chosen.items()
    }
    path = folder / f"selection/{place}.json"
    whole = {"model": model, "dataset": dataset, "rule": "highest validation accuracy", "protocols": protocols}
    write_json(path, whole | {"spec": {"model": model, "dataset": dataset}})
    study.selections.append(path)
    base = [part for part in parts("test", 0.5, 3.0, 10, arm="base")]
    accuracy, loss = effect("u_in", max(layers), min(rhos))
    laser = [part for part in parts("test", accuracy, loss, 11, arm="laser")]
    for number, protocol in enumerate(PROTOCOLS):
        if chosen[protocol] is None:
            laser[number] = base[number].assign(arm="laser")
    extra = {"chosen": chosen, "run": {"device": "cpu", "dtype": "fp16", "left_out": {}}}
    study.tests.append(write(folder / f"test/{place}.parquet", [*base, *laser], extra))


def _records(folder: Path, model: str, layer: int, rhos: Any) -> list[Path]:
    paths = []
    for rho in rhos:
        matrices = {
            matrix: {
                "shape": [64, 32],
                "kept_rank": int(32 * rho),
                "retained_energy": rho,
                "effective_rank": 30.0 - layer - number,
            }
            for number, matrix in enumerate(MATRICES)
        }
        path = folder / f"reductions/{model}/layer{layer}/rho{rho:g}.json"
        write_json(
            path,
            {"layer": layer, "rho": rho, "matrices": matrices, "spec": {"model": {"name": model}, "layer": layer}},
        )
        paths.append(path)
    return paths
