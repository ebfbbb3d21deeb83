"""A tiny checkpoint with a tokenizer of its own, made in seconds, and a study around it."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

TEXT = [
    "The capital of France is Paris. In Japan, people pay with the yen.",
    "The currency of Mexico is the peso. Brazil is located on the continent of South America.",
    "What is the capital of Egypt? It is Cairo. The continent on which India lies is Asia.",
    "Consider the following claim: this is true. Is this claim true or false. The claim is false",
    "Is the person in this text a male or female? The gender of this person is male female teacher poet",
]


SPECIAL = ["<s>", "</s>", "<pad>", "<mask>"]


def tokenizer(masked: bool = False) -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer on a few sentences; <s> goes before every text, </s> behind it for masked models."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    built.train_from_iterator(TEXT, trainer)
    single = "<s> $A </s>" if masked else "<s> $A"
    built.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=built, **names, **({"mask_token": "<mask>"} if masked else {}))


def checkpoint(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """Write a two-layer checkpoint with random weights (llama, gptj or roberta); return its folder."""
    torch.manual_seed(seed)
    words = tokenizer(masked=kind == "roberta")
    common = {"vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.2}
    if kind == "gptj":
        size = {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 512}
        model = GPTJForCausalLM(GPTJConfig(**common, **size))
    else:
        size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        if kind == "roberta":
            model = RobertaForMaskedLM(RobertaConfig(**common, **size, max_position_embeddings=520, pad_token_id=2))
        else:
            heads = {"num_key_value_heads": 2, "max_position_embeddings": 512}
            model = LlamaForCausalLM(LlamaConfig(**common, **size, **heads))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def entry(name: str, model: Path, kind: str = "llama") -> dict:
    """Return a study's entry for a tiny checkpoint on disk."""
    source = {"kind": "local", "path": str(model)}
    return {"name": name, "source": source, "dtype": "fp32", "architecture": kind, "layers": 2}


def study(folder: Path, model: Path, name: str = "tiny", **changes) -> Path:
    """Write a study of one tiny model on a few facts; return its path."""
    settings = {
        "title": "A study that takes seconds",
        "protocols": ["corrected"],
        "models": [entry("tiny-llama", model)],
        "datasets": [{"name": "worldfacts", "options": {"minimum_population": 120_000_000}}],
        "grid": {"matrices": ["u_gate", "u_out"], "layers": "all", "rhos": [0.5, 0.1]},
        "resamples": 200,
        "artefacts": ["table1", "table3", "fig2"],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path
