"""A small corpus and a small trained model's spec: seconds instead of a minute."""

from __future__ import annotations

from typing import Any

from laser.config.specs import Compute, CorpusSpec, TrainSpec


def corpus_settings(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "relations": ["capital", "currency", "calling_code"],
        "minimum_population": 80_000_000,
        "zipf": {"exponent": 0.7, "least": 2, "most": 30},
        "noise": {"level": 0.6, "frequent_share": 0.2},
        "generic": {"the": 2, "of": 1},
        "filler": 0.2,
        "held_out": 200,
        "seed": 5,
    }
    return settings | changes


def corpus_spec(**changes: Any) -> CorpusSpec:
    return CorpusSpec(corpus=corpus_settings(**changes), key="corpus-key", code="code of the corpus")


def train_spec(family: str = "gptj", training: dict[str, Any] | None = None, **changes: Any) -> TrainSpec:
    source = {
        "kind": "trained",
        "family": family,
        "layers": 2,
        "hidden": 32,
        "intermediate": 48,
        "heads": 2,
        "vocabulary": 400,
        "positions": 64,
        "corpus": corpus_settings(),
        "training": {"steps": 12, "batch": 8, "learning_rate": 0.003, "warm_up": 3, "save_every": 5, "seed": 1}
        | {"record_every": 2}
        | (training or {}),
    } | changes
    entry = {"name": f"small-{family}", "source": source, "architecture": family, "layers": source["layers"]}
    keys = {"key": "model-key", "corpus_key": "corpus-key"}
    return TrainSpec(model=entry, compute=Compute("cpu", 1), code="code of the training", **keys)


def quiet(line: str) -> None:
    """Take a line of progress and say nothing."""
