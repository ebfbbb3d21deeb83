"""What the engine serves, what it leaves to the reference engine, and that the documentation says the same."""

import re
from pathlib import Path

import pytest
import transformers

from laser.config.architectures import ARCHITECTURES
from laser.engine.families import FAMILIES, network
from tests.engine.tiny_models import BERT, CONFIGS, FULL, GPT2, LAYERS, LLAMA, NEOX, WINDOW, made

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/engine.md"
ROPE = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
LEFT = {
    "llama with a window that transformers does not look at": lambda: transformers.LlamaConfig(
        **LLAMA, sliding_window=WINDOW
    ),
    "mistral with kinds of layers that transformers does not look at": lambda: transformers.MistralConfig(
        **LLAMA, sliding_window=WINDOW, layer_types=[FULL] * LAYERS
    ),
    "gpt2 with cross-attention": lambda: transformers.GPT2Config(**GPT2, add_cross_attention=True),
    "qwen3, rotary positions by length": lambda: transformers.Qwen3Config(**LLAMA, rope_parameters=ROPE),
    "phi, rotary positions by length": lambda: transformers.PhiConfig(
        **NEOX, rope_parameters=ROPE | {"partial_rotary_factor": 0.5}
    ),
    "llama, rotary positions of two kinds": lambda: transformers.LlamaConfig(
        **LLAMA,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "short_factor": [1.0] * 4,
            "long_factor": [1.0, 2.0, 4.0, 8.0],
            "original_max_position_embeddings": 8,
        },
    ),
    "olmo": lambda: transformers.OlmoConfig(**LLAMA),
    "stablelm": lambda: transformers.StableLmConfig(**LLAMA),
}


def test_every_family_has_a_layout_and_a_tiny_model():
    assert set(FAMILIES) <= set(ARCHITECTURES)
    assert {config().model_type for config in CONFIGS.values()} == set(FAMILIES)


def test_the_documentation_lists_the_families():
    (listed,) = re.findall(r"\| the blocks of (.+) \|", DOCUMENT.read_text())
    assert sorted(listed.split(", ")) == sorted(FAMILIES)


@pytest.mark.parametrize("family", CONFIGS)
def test_blocks_hold_the_matrices_of_the_layout(family):
    config = CONFIGS[family]()
    blocks = network(made(config).model).blocks
    assert all(list(block.linears) == list(ARCHITECTURES[config.model_type].matrices) for block in blocks)


@pytest.mark.parametrize("variant", LEFT)
def test_other_variants_are_left_to_the_reference_engine(variant):
    assert network(made(LEFT[variant]()).model) is None


def test_decoders_made_from_bert_are_left_to_the_reference_engine():
    config = transformers.BertConfig(**BERT, pad_token_id=0, is_decoder=True)
    assert network(transformers.BertLMHeadModel(config)) is None


def test_heads_for_other_tasks_are_left_to_the_reference_engine():
    config = transformers.Qwen3Config(**LLAMA, num_labels=2)
    assert network(transformers.Qwen3ForSequenceClassification(config)) is None
