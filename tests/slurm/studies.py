"""Studies for the cluster: the quickstart's own jobs on a checkpoint that takes no time, and one of four jobs."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
FACTS = {"minimum_population": 120_000_000}


def checkpoint(folder: Path, layers: int) -> Path:
    """Write a Llama of a few thousand weights and any depth; return its folder."""
    torch.manual_seed(0)
    words = tiny.tokenizer()
    size = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    limits = {"num_hidden_layers": layers, "max_position_embeddings": 512, "initializer_range": 0.2}
    ends = {"vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 1}
    LlamaForCausalLM(LlamaConfig(**size, **limits, **ends)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def entry(name: str, folder: Path) -> dict:
    """Return the study's entry of a checkpoint, its size included: memory is asked for by it."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    size = {"parameters": sum(one.numel() for one in model.parameters()), "hidden": 32, "intermediate": 48}
    layers = {"layers": model.config.num_hidden_layers}
    return {
        "name": name,
        "source": {"kind": "local", "path": str(folder)},
        "dtype": "fp32",
        "architecture": "llama",
        **size,
        **layers,
    }


def quickstart(folder: Path) -> Path:
    """Write the quickstart with every rule and artefact of it, but fewer jobs and less work; return the study's path.

    The real model is a tiny checkpoint of the same depth with three of its layers; of the trained ones there is one,
    trained for a moment, with its last layer; the facts are few.
    """
    study = yaml.safe_load((ROOT / "config/studies/quickstart.yaml").read_text())
    catalogue = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    pretrained = study["models"][0]
    trained = next(name for name in study["models"] if catalogue[name]["source"]["kind"] == "trained")
    learner = {"name": trained, **catalogue[trained]}
    learner["source"]["training"]["steps"] = 20
    study["models"] = [entry(pretrained, checkpoint(folder / "deep", catalogue[pretrained]["layers"])), learner]
    study["datasets"] = [{"name": "worldfacts", "options": FACTS}]
    own = study["grid"]["models"][trained] | {"layers": [learner["layers"] - 1]}
    study["grid"] |= {"layers": study["grid"]["layers"][::4] + study["grid"]["layers"][-1:], "models": {trained: own}}
    kept = [model["name"] if isinstance(model, dict) else model for model in study["models"]]
    study["baselines"]["models"] = [name for name in study["baselines"]["models"] if name in kept]
    return _written(folder / "quickstart.yaml", study)


def small(folder: Path, layers: list[int], **changes) -> Path:
    """Write a study of one cell with a sweep job per layer; return its path."""
    path = folder / "shallow"
    model = entry("tiny-llama", path if path.exists() else checkpoint(path, 4))
    study = {
        "title": "A study that takes seconds",
        "protocols": ["corrected"],
        "models": [model],
        "datasets": [{"name": "worldfacts", "options": FACTS}],
        "grid": {"matrices": ["u_gate", "u_out"], "layers": layers, "rhos": [0.5, 0.1]},
        "resamples": 200,
        "artefacts": ["table1", "table3"],
    }
    return _written(folder / "small.yaml", study | changes)


def _written(path: Path, study: dict) -> Path:
    path.write_text(yaml.safe_dump(study))
    return path
