"""The trained models of the catalogue: what they declare is what they are, and rules know how to make them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from laser.config.study import resolve
from laser.training.families import FAMILIES, is_masked, untrained
from laser.training.train import DEFAULTS
from tests.tiny import study
from tests.workflow.runner import planned

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = yaml.safe_load((ROOT / "config/models.yaml").read_text())
TRAINED = [name for name, entry in CATALOGUE.items() if "corpus" in entry["source"]]


def settings(*models) -> dict:
    grid = {"matrices": ["u_out"], "layers": "all", "rhos": [0.1]}
    return {"title": "t", "protocols": ["corrected"], "models": list(models), "datasets": ["worldfacts"], "grid": grid}


@pytest.mark.parametrize("name", TRAINED)
def test_what_a_trained_model_declares_is_what_it_is(name: str) -> None:
    entry = CATALOGUE[name]
    source = entry["source"]
    resolve(settings(name), Path("study.yaml"), ROOT)  # the schema allows every key
    with torch.device("meta"):
        model = untrained(source, 0)
    assert model.num_parameters() == entry["parameters"] and model.config.model_type == entry["architecture"]
    assert entry["task"] == ("masked" if is_masked(source["family"]) else "causal")
    for key in ("layers", "hidden", "intermediate", "heads", "vocabulary", "positions"):
        assert entry[key] == source[key]
    assert {"steps", "batch", "learning_rate", "seed"} <= set(source["training"])
    assert set(source["training"]) <= {"steps", "batch", "learning_rate", "seed", *DEFAULTS}


def test_every_family_has_a_small_model_of_about_a_million_parameters_on_one_corpus() -> None:
    small = [CATALOGUE[f"lab-{family}"] for family in FAMILIES]
    assert all(0.8e6 < entry["parameters"] < 1.2e6 for entry in small)
    assert all(entry["source"]["corpus"] == small[0]["source"]["corpus"] for entry in small)


def test_models_of_one_corpus_share_it_and_what_is_fetched_is_not_trained(tmp_path: Path) -> None:
    varied = {"name": "lab-gptj", "vary": {"noise": [0, 0.75]}}
    one = study(tmp_path, tmp_path / "nowhere", models=["lab-gptj", "lab-llama", varied, "smollm2-135m"],
                grid={"matrices": ["u_out"], "layers": "all", "rhos": [0.1]})  # fmt: skip
    counts = planned(tmp_path, one, "models")
    assert counts == {"corpus": 2, "train": 4, "fetch": 1, "models": 1}


def test_the_page_on_models_names_the_defaults() -> None:
    text = (ROOT / "config/model.md").read_text()
    for name in DEFAULTS:
        assert f"`{name}`" in text or f"`training.{name}`" in text or f".{name}" in text
