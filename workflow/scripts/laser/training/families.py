"""Untrained models of the paper's three architectures, with the sizes that a source declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from laser.errors import UserError
from laser.training.tokenizer import BOS, EOS, PAD


def is_masked(family: str) -> bool:
    """Return True if models of a family fill masks instead of continuing a text."""
    return family == "roberta"


def usable_positions(source: Mapping[str, Any]) -> int:
    """Return the number of tokens that the model takes; RoBERTa's positions begin after the padding token's id."""
    return int(source["positions"]) - (PAD + 1 if is_masked(source["family"]) else 0)


def untrained(source: Mapping[str, Any], seed: int) -> PreTrainedModel:
    """Build a model with random fp32 weights on the CPU.

    Dropout is off: the corpora are small, and a run then needs random numbers only for its batches.

    Args:
        source: family, layers, hidden, intermediate, heads, vocabulary, positions.
        seed: seed of the weights.

    Raises:
        UserError: hidden does not divide into heads of an even size.
    """
    hidden, heads = source["hidden"], source["heads"]
    if hidden % (2 * heads):
        raise UserError(
            f"source.hidden is {hidden} and source.heads {heads}. Every head needs the same even number of "
            f"dimensions: make hidden a multiple of {2 * heads}."
        )
    torch.manual_seed(seed)
    model = FAMILIES[source["family"]](source)
    # Eager attention has the same arithmetic everywhere, and for single sentences it is as fast as the fused kernels.
    model.set_attn_implementation("eager")
    return model


def _common(source: Mapping[str, Any]) -> dict[str, Any]:
    ids = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    spread = (2 / (5 * source["hidden"])) ** 0.5  # for small models: the usual 0.02 is meant for 1,000 dimensions
    return {"vocab_size": source["vocabulary"], "dtype": "float32", "initializer_range": spread, **ids}


def _sizes(source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_size": source["hidden"],
        "intermediate_size": source["intermediate"],
        "num_hidden_layers": source["layers"],
        "num_attention_heads": source["heads"],
        "max_position_embeddings": source["positions"],
    }


def _gptj(source: Mapping[str, Any]) -> PreTrainedModel:
    config = GPTJConfig(
        n_embd=source["hidden"],
        n_inner=source["intermediate"],
        n_layer=source["layers"],
        n_head=source["heads"],
        n_positions=source["positions"],
        rotary_dim=source["hidden"] // source["heads"] // 2 // 2 * 2,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        **_common(source),
    )
    return GPTJForCausalLM(config)


def _llama(source: Mapping[str, Any]) -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(num_key_value_heads=source["heads"], tie_word_embeddings=False, **_common(source), **_sizes(source))
    )


def _roberta(source: Mapping[str, Any]) -> PreTrainedModel:
    config = RobertaConfig(
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **_common(source),
        **_sizes(source),
    )
    return RobertaForMaskedLM(config)


FAMILIES = {"gptj": _gptj, "llama": _llama, "roberta": _roberta}
