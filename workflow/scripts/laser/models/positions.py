"""The number of tokens that a model takes, according to its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COUNTED_FROM_PADDING = frozenset(
    {
        "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""Architectures whose first token has the position after the padding token's id, as in RoBERTa."""


def max_positions(config: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that a model takes, or None if its config.json does not say or sets no bound."""
    count = config.get("max_position_embeddings") or config.get("n_positions")
    if type(count) is not int:
        return None
    name = config.get("model_type")
    if name == "esm" and config.get("position_embedding_type", "absolute") != "absolute":
        return count
    if name in COUNTED_FROM_PADDING:
        padding = config.get("pad_token_id", 1)
        return count - (padding if type(padding) is int else 1) - 1
    return count
