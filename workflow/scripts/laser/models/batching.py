"""Rules for batches in which the model answers each request as if it were alone, and helpers that run a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

PADDED, ONE_LENGTH, ONE_ROW = "padded", "one length", "one row"
"""Kinds of batches: rows of any lengths with padding; rows of equal length only; one row at a time."""

LENGTH_DEPENDENT = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies depend on the length of the sequences that the model sees."""


def rotary_modules(model: Any) -> list[Any]:
    """Return the modules whose rotary positions depend on the sequence length."""
    return [module for module in model.modules() if _depends_on_length(getattr(module, "rope_type", None))]


def _depends_on_length(kind: Any) -> bool:
    kinds = kind.values() if isinstance(kind, dict) else [kind]
    return any(str(each).startswith(LENGTH_DEPENDENT) for each in kinds)


def forget_lengths(model: Any) -> None:
    """Reset rotary positions that adapt to the longest sequence so far to their state before the first call."""
    for module in rotary_modules(model):
        prefixes = [f"{layer_type}_" for layer_type in module.rope_type] if isinstance(module.rope_type, dict) else [""]
        for prefix in prefixes:
            original = getattr(module, f"{prefix}original_inv_freq", None)
            current = getattr(module, f"{prefix}inv_freq", None)
            if original is None or current is None:
                continue
            module.register_buffer(f"{prefix}inv_freq", original.to(current.device, copy=True), persistent=False)
            if hasattr(module, f"{prefix}max_seq_len_cached"):
                setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
        if hasattr(module, "max_seq_len_cached"):
            module.max_seq_len_cached = module.original_max_seq_len


def pad(
    sequences: Sequence[tuple[int, ...]], token: int, device: torch.device, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad sequences to one length and return (ids, mask), both (batch, length) int64; the mask is 1 at tokens."""
    width = max(map(len, sequences))
    ids = torch.full((len(sequences), width), token, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        filled = slice(width - len(sequence), width) if left else slice(0, len(sequence))
        ids[row, filled] = torch.tensor(sequence, dtype=torch.long)
        mask[row, filled] = 1
    return ids.to(device), mask.to(device)


@contextlib.contextmanager
def without_own_settings(model: Any) -> Iterator[None]:
    """Remove a model's generation settings for the duration of the block.

    Otherwise `generate` fills whatever the given settings leave open from the model's own: penalties, forced and
    forbidden tokens, stop strings.
    """
    from transformers import GenerationConfig

    kept, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = kept
