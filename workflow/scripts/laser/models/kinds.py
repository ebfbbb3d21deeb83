"""The three kinds of checkpoint, by their config.json: causal and masked language models, and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

POLICY = "policy"


def task_of(config: Mapping[str, Any]) -> str:
    """Return `causal`, `masked` or `policy`."""
    if config.get("model_type") == "decision_transformer":
        return POLICY
    return "masked" if any("MaskedLM" in name for name in config.get("architectures") or []) else "causal"


def auto_class(task: str) -> Any:
    """Return the transformers class that loads checkpoints of a task."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, DecisionTransformerModel

    return {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, POLICY: DecisionTransformerModel}[task]
