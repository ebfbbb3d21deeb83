"""Checkpoints loaded from a folder: safetensors only, no remote code, no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers.utils import is_accelerate_available

from laser.io.files import read_json
from laser.models.batching import ONE_LENGTH, PADDED, rotary_modules
from laser.models.building import from_folder, model_config
from laser.models.device import DTYPES, resolve_device
from laser.models.kinds import POLICY, task_of
from laser.models.positions import max_positions
from laser.models.stored import read_config, read_header, refuse_quantised, weight_files
from laser.models.tokenizer import load_tokenizer


@dataclass
class LoadedModel:
    """A model ready for evaluation.

    Attributes:
        model: the model, in evaluation mode, without gradients.
        tokenizer: the tokenizer of the same folder; None for a policy.
        config: config.json as a plain dict.
        task: `causal`, `masked` or `policy`.
        device: the model's device.
        dtype: fp32, fp16 or bf16.
        folder: the checkpoint's folder.
        card: card.json of the folder, or an empty dict.
        mapping: where an unknown architecture stores its matrices (`laser.models.adapter.locate`), or None.
    """

    model: Any
    tokenizer: Any
    config: dict[str, Any]
    task: str
    device: torch.device
    dtype: str
    folder: Path
    card: dict[str, Any] = field(default_factory=dict)
    mapping: dict[str, Any] | None = None

    @property
    def max_positions(self) -> int | None:
        """The number of tokens that the model takes, or None if its config does not say."""
        return self.card.get("longest") or max_positions(self.config)

    @property
    def batching(self) -> str:
        """Which requests may share a batch (`laser.models.batching`)."""
        return ONE_LENGTH if rotary_modules(self.model) else self.card.get("batching", PADDED)

    @property
    def vocabulary(self) -> int:
        """The number of tokens that the model has an embedding for."""
        return int(self.model.get_input_embeddings().num_embeddings)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The checkpoint's ids that end a generation, without those that the model lacks.

        A configuration may have ids of another vocabulary if only the tokenizer was changed (GPT-2's 50256).
        """
        named = self.model.generation_config.eos_token_id
        ids = named if isinstance(named, list | tuple) else [named]
        return tuple(index for index in ids if type(index) is int and 0 <= index < self.vocabulary)

    @property
    def padding_token(self) -> int:
        """A token id of the model to pad with; it is masked out everywhere, so any id will do."""
        for index in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if type(index) is int and 0 <= index < self.vocabulary:
                return index
        return 0


def load(folder: Path, dtype: str = "fp32", device: str = "auto", mapping: dict[str, Any] | None = None) -> LoadedModel:
    """Load model and tokenizer from a folder.

    The attention kernel is the architecture's default in transformers (`sdpa` if it has one, else `eager`).

    Raises:
        UserError: the folder does not hold a checkpoint that can be studied, or it is damaged or incomplete.
    """
    config = read_config(folder)
    task = task_of(config)
    where = resolve_device(device)
    refuse_quantised(folder, config, [read_header(folder / name) for name in weight_files(folder)])
    tokenizer = load_tokenizer(folder) if task != POLICY else None
    # Straight to the device, tensor by tensor, so that the host never holds the whole model; that needs accelerate.
    placed = {"device_map": {"": where}} if is_accelerate_available() else {}
    model, _ = from_folder(folder, model_config(folder, task), task, dtype=DTYPES[dtype], **placed)
    model = model.to(where).eval().requires_grad_(False)
    path = folder / "card.json"
    card = read_json(path) if path.is_file() else {}
    return LoadedModel(model, tokenizer, config, task, where, dtype, folder, card, mapping)
