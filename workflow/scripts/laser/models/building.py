"""Transformers models built from a checkpoint's folder, with a message for every kind of bad content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

from laser.errors import UserError, lacks_memory, shortened
from laser.models.kinds import POLICY, auto_class
from laser.models.stored import read_config

CHOSEN_BY_SUPPORT = None
"""An attention kernel that is given instead of the one that config.json may set: `sdpa` (torch's own) if the
architecture supports it, else `eager`."""

NEEDED = ("num_hidden_layers", "hidden_size", "num_attention_heads")
SIZES = (
    *NEEDED,
    "vocab_size",
    "n_layer",
    "n_embd",
    "n_head",
    "n_layers",
    "n_heads",
    "num_layers",
    "num_key_value_heads",
)


def model_config(folder: Path, task: str) -> Any:
    """Return the configuration of a checkpoint as transformers reads it.

    A padding token outside the vocabulary is dropped, because the embedding has no row for it.

    Raises:
        UserError: transformers does not know the architecture, or the architecture cannot be studied.
    """
    raw = read_config(folder)
    for name in SIZES:
        if raw.get(name) is not None:
            _check_size(folder, name, raw[name])
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise unreadable(folder, task, error) from error
    needed = NEEDED if task == POLICY else (*NEEDED, "vocab_size")
    absent = [name for name in needed if not hasattr(config, name)]
    if absent:
        raise UserError(
            f"{folder}: the architecture '{config.model_type}' has no {', '.join(absent)} in its configuration: it is "
            "not a transformer language model with attention layers but a state-space, multimodal or other model, "
            "which is not studied here. Of a multimodal checkpoint, use the language part, saved as a separate model."
        )
    for name in needed:
        _check_size(folder, name, getattr(config, name))
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"{folder}: '{config.model_type}' is an encoder with a decoder, which is not studied here. "
            "Use a causal or a masked language model."
        )
    padding = getattr(config, "pad_token_id", None)
    if type(padding) is int and task != POLICY and not 0 <= padding < config.vocab_size:
        config.pad_token_id = None
    return config


def _check_size(folder: Path, name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise UserError(
            f"{folder / 'config.json'}: {name} is {shortened(value)}; it must be a whole number, at least 1."
        )


def from_folder(folder: Path, config: Any, task: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Build the model of a folder with the weights in its safetensors files.

    Args:
        folder: the checkpoint's folder.
        config: configuration from `model_config`.
        task: `causal`, `masked` or `policy`.
        options: options of `from_pretrained`, such as dtype or device_map.

    Returns:
        The model, and what transformers reports about the weights (missing_keys, unexpected_keys, mismatched_keys).

    Raises:
        UserError: transformers cannot build it, or weights are missing or have another shape.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, loading = auto_class(task).from_pretrained(
            folder,
            config=config,
            attn_implementation=CHOSEN_BY_SUPPORT,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported below, by name
            output_loading_info=True,
            **options,
        )
    except Exception as error:
        raise unreadable(folder, task, error) from error
    absent = sorted(loading["missing_keys"]) + sorted(key[0] for key in loading["mismatched_keys"])
    if absent:
        # transformers would fill them with random numbers
        raise UserError(
            f"{folder}: {len(absent)} weights are missing or have another shape, such as {absent[0]}, "
            "which the model in config.json needs. Config and weights do not belong together; "
            "fetch both from one revision."
        )
    return model, loading


def unreadable(folder: Path, task: str, error: Exception) -> UserError:
    """Return the message for an error that transformers raised while reading a folder."""
    line = " ".join((str(error).strip().splitlines() or ["no message"])[0].split())[:300]
    if lacks_memory(error):
        return UserError(
            f"{folder}: there is too little memory to load the model ({line}). Ask for more memory (SLURM: mem_mb), or "
            "run where there is more."
        )
    if isinstance(error, ImportError):
        return UserError(
            f"{folder}: transformers needs a library for this checkpoint that is not installed ({line}). "
            "Use a checkpoint in plain safetensors that needs no further library."
        )
    kind = "model" if task == POLICY else "language model"
    return UserError(
        f"{folder}: cannot be loaded: transformers cannot read it as a {task} {kind} ({type(error).__name__}: {line}). "
        "If its files are damaged, delete the folder and fetch it again; otherwise use a checkpoint whose architecture "
        "is part of transformers and needs no remote code."
    )
