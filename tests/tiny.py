"""A tiny checkpoint with a tokenizer of its own, made in seconds, and a study around it."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXT = [
    "The capital of France is Paris. In Japan, people pay with the yen.",
    "The currency of Mexico is the peso. Brazil is located on the continent of South America.",
    "What is the capital of Egypt? It is Cairo. The continent on which India lies is Asia.",
]


def tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer on a few sentences; like Llama's it puts <s> before every text."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    built.train_from_iterator(TEXT, trainer)
    built.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def checkpoint(folder: Path, layers: int = 2, seed: int = 0) -> Path:
    """Write a Llama-architecture checkpoint with random weights; return its folder."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return folder


def study(folder: Path, model: Path, name: str = "tiny", **changes) -> Path:
    """Write a study of one tiny model on a few facts; return its path."""
    settings = {
        "title": "A study that takes seconds",
        "protocols": ["corrected"],
        "models": [
            {
                "name": "tiny-llama",
                "source": {"kind": "local", "path": str(model)},
                "dtype": "fp32",
                "architecture": "llama",
                "layers": 2,
            }
        ],
        "datasets": [{"name": "worldfacts", "options": {"minimum_population": 120_000_000}}],
        "grid": {"matrices": ["u_gate", "u_out"], "layers": "all", "ranks": [0.5, 0.1]},
        "resamples": 200,
        "artefacts": ["table1", "table3", "fig2"],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path
