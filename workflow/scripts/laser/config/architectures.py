"""The layouts of known architectures: layer prefix and weight names, as in their checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """Where an architecture keeps its matrices.

    Attributes:
        layer: prefix of a layer's weights, with {layer}.
        matrices: logical name to the weight's name below the prefix.
        packed: logical name to (index, count) where matrices are packed along the output dimension in equal parts.
        transposed: logical names whose weight is stored (in, out).
        refused: logical names that exist but cannot be edited on their own, with the reason.
    """

    layer: str
    matrices: Mapping[str, str]
    packed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""Keys under which config.json may say how many layers a model has."""

EXPERT = "{expert}"
"""Placeholder in a mapping's weight name for the number of an expert: u_out then gives u_out_0, u_out_1, …"""


def mapped_matrices(mapping: Mapping[str, Any]) -> list[str]:
    """Return the logical matrices that a model's `mapping` names; those of single experts are `name_<expert>`."""
    return sorted(
        f"{name}_<expert>" if EXPERT in str(value) else name for name, value in mapping.items() if name != "layer"
    )


def in_mapping(mapping: Mapping[str, Any], matrix: str) -> bool:
    """Return True if a model's `mapping` names a logical matrix. Only the weights tell if an expert exists."""
    if matrix != "layer" and matrix in mapping and EXPERT not in str(mapping[matrix]):
        return True
    numbered = re.fullmatch(r"(.+)_(\d+)", matrix)
    return numbered is not None and EXPERT in str(mapping.get(numbered[1]))


_THREE = {"q": (0, 3), "k": (1, 3), "v": (2, 3)}
_LLAMA = Architecture(
    "model.layers.{layer}.",
    {
        "q": "self_attn.q_proj.weight",
        "k": "self_attn.k_proj.weight",
        "v": "self_attn.v_proj.weight",
        "o": "self_attn.o_proj.weight",
        "u_in": "mlp.up_proj.weight",
        "u_gate": "mlp.gate_proj.weight",
        "u_out": "mlp.down_proj.weight",
    },
)
_LLAMA_LIKE = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "granite",
    "olmo",
    "olmo2",
    "smollm3",
    "stablelm",
)
_GPT2_MATRICES = {
    "q": "attn.c_attn.weight",
    "k": "attn.c_attn.weight",
    "v": "attn.c_attn.weight",
    "o": "attn.c_proj.weight",
    "u_in": "mlp.c_fc.weight",
    "u_out": "mlp.c_proj.weight",
}


def _encoder(prefix: str) -> Architecture:
    return Architecture(
        prefix + "encoder.layer.{layer}.",
        {
            "q": "attention.self.query.weight",
            "k": "attention.self.key.weight",
            "v": "attention.self.value.weight",
            "o": "attention.output.dense.weight",
            "u_in": "intermediate.dense.weight",
            "u_out": "output.dense.weight",
        },
    )


ARCHITECTURES: dict[str, Architecture] = {
    **dict.fromkeys(_LLAMA_LIKE, _LLAMA),
    "roberta": _encoder("roberta."),
    "xlm-roberta": _encoder("roberta."),
    "bert": _encoder("bert."),
    "gptj": Architecture(
        "transformer.h.{layer}.",
        {
            "q": "attn.q_proj.weight",
            "k": "attn.k_proj.weight",
            "v": "attn.v_proj.weight",
            "o": "attn.out_proj.weight",
            "u_in": "mlp.fc_in.weight",
            "u_out": "mlp.fc_out.weight",
        },
    ),
    "gpt2": Architecture("transformer.h.{layer}.", _GPT2_MATRICES, _THREE, frozenset(_GPT2_MATRICES)),
    "decision_transformer": Architecture("encoder.h.{layer}.", _GPT2_MATRICES, _THREE, frozenset(_GPT2_MATRICES)),
    "gpt_neox": Architecture(
        "gpt_neox.layers.{layer}.",
        {
            "o": "attention.dense.weight",
            "u_in": "mlp.dense_h_to_4h.weight",
            "u_out": "mlp.dense_4h_to_h.weight",
        },
        refused=dict.fromkeys("qkv", "query_key_value interleaves q, k and v head by head"),
    ),
    "phi": Architecture(
        "model.layers.{layer}.",
        {
            "q": "self_attn.q_proj.weight",
            "k": "self_attn.k_proj.weight",
            "v": "self_attn.v_proj.weight",
            "o": "self_attn.dense.weight",
            "u_in": "mlp.fc1.weight",
            "u_out": "mlp.fc2.weight",
        },
    ),
    "phi3": Architecture(
        "model.layers.{layer}.",
        {
            "o": "self_attn.o_proj.weight",
            "u_in": "mlp.gate_up_proj.weight",
            "u_gate": "mlp.gate_up_proj.weight",
            "u_out": "mlp.down_proj.weight",
        },
        {"u_gate": (0, 2), "u_in": (1, 2)},
        refused=dict.fromkeys("qkv", "qkv_proj packs q, k and v in parts of unequal size"),
    ),
    "opt": Architecture(
        "model.decoder.layers.{layer}.",
        {
            "q": "self_attn.q_proj.weight",
            "k": "self_attn.k_proj.weight",
            "v": "self_attn.v_proj.weight",
            "o": "self_attn.out_proj.weight",
            "u_in": "fc1.weight",
            "u_out": "fc2.weight",
        },
    ),
}
