"""The facts of a checkpoint's card, read from its files and compared with the model's entry."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.io.records import CACHE_RECORD, CACHE_RUN
from laser.models.building import from_folder, model_config
from laser.models.kinds import POLICY, task_of
from laser.models.positions import max_positions
from laser.models.probe import probe
from laser.models.stored import DTYPES, read_config, read_header, refuse_quantised, weight_files
from laser.models.tokenizer import load_tokenizer
from laser.models.tokenizer import notes as tokenizer_notes

DECLARED = (
    "architecture",
    "task",
    "layers",
    "hidden",
    "intermediate",
    "heads",
    "key_value_heads",
    "head_size",
    "vocabulary",
    "positions",
    "parameters",
)


def inspect(folder: Path) -> dict[str, Any]:
    """Return the facts of a checkpoint: architecture, task, shapes, parameters, stored dtype, and how it may be used.

    The model is built without memory for its weights. This gives the number of parameters and shows whether the files
    hold every weight with the right shape (a missing one would silently be random). Facts that the files do not give
    are probed on random weights (`laser.models.probe`).

    Raises:
        UserError: the folder is not a checkpoint that can be studied; the message says why.
    """
    raw = read_config(folder)
    headers = [read_header(folder / name) for name in weight_files(folder)]
    refuse_quantised(folder, raw, headers)
    tensors = {name: tensor for header in headers for name, tensor in header.items()}
    counts: Counter[str] = Counter()
    for tensor in tensors.values():
        counts[tensor["dtype"]] += math.prod(tensor["shape"])
    stored = max(DTYPES, key=lambda name: counts[name])
    task = task_of(raw)
    notes = []
    tokenizer = None
    if task != POLICY:
        tokenizer = load_tokenizer(folder)
    config = model_config(folder, task)
    if config.num_hidden_layers > len(tensors):
        raise UserError(
            f"{folder}: config.json names {config.num_hidden_layers} layers, but the files hold {len(tensors)} tensors "
            "in all. Config and weights do not belong together; fetch both from one revision."
        )
    model, loading = from_folder(folder, config, task, device_map="meta")
    notes += _unused(folder, set(loading["unexpected_keys"]), set(tensors))
    config = model.config
    if tokenizer is not None:
        notes += tokenizer_notes(folder, tokenizer, config.vocab_size)
    longest = max_positions(raw)
    try:
        probed = probe(config, task, model.num_parameters(), longest)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    facts = {
        "architecture": config.model_type,
        "task": task,
        "layers": config.num_hidden_layers,
        **sizes(config),
        "positions": getattr(config, "max_position_embeddings", None),
        "parameters": model.num_parameters(),
        "dtype_stored": DTYPES[stored],
        "batching": probed.batching,
        "notes": [*notes, *probed.notes],
    }
    return facts if probed.longest in (None, longest) else facts | {"longest": probed.longest}


def sizes(config: Any) -> dict[str, int]:
    """Return the sizes of a model's matrices from its configuration, under the names used in a model's entry."""
    inner = (getattr(config, name, None) for name in ("intermediate_size", "ffn_dim", "n_inner"))
    return {
        "hidden": config.hidden_size,
        "intermediate": next(filter(None, inner), 4 * config.hidden_size),
        "heads": config.num_attention_heads,
        "key_value_heads": getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        "head_size": getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        "vocabulary": config.vocab_size,
    }


def _unused(folder: Path, unexpected: set[str], stored: set[str]) -> list[str]:
    """Return a note on stored tensors that the model does not use.

    Raises:
        UserError: they are layers beyond those in config.json, or biases of weights that the model uses.
    """
    for name in sorted(unexpected):
        parts = name.split(".")
        for index, part in enumerate(parts):
            first = ".".join([*parts[:index], "0", *parts[index + 1 :]])
            if part.isdigit() and part != "0" and first in stored - unexpected:
                raise UserError(
                    f"{folder}: holds '{name}', a layer beyond those in config.json (num_hidden_layers), so that the "
                    "model would not be the one in the files. Config and weights do not belong together; "
                    "fetch both from one revision."
                )
        if parts[-1] == "bias" and ".".join([*parts[:-1], "weight"]) in stored - unexpected:
            raise UserError(
                f"{folder}: holds '{name}', but the model in config.json has no such bias, so that it would be "
                "dropped. Config and weights do not belong together; fetch both from one revision."
            )
    if not unexpected:
        return []
    return [f"{len(unexpected)} stored tensors are not of the model and not used, first {min(unexpected)}"]


def check_declared(entry: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Compare what a model's entry declares with the checkpoint.

    Raises:
        UserError: they differ; the message names the key, the declared and the actual value.
    """
    for key in DECLARED:
        if key in entry and key in facts and entry[key] != facts[key]:
            raise UserError(
                f"model '{entry['name']}': {key} is declared as {entry[key]}, but the checkpoint has {facts[key]}. "
                f"Correct {key} in the model's entry (config/models.yaml or the study), or its source."
            )


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of a checkpoint's folder, by name, except its card and records."""
    beside = ("card.json", CACHE_RECORD, CACHE_RUN)

    def is_whole(path: Path) -> bool:
        # A record that is being written has a hidden temporary name.
        return path.is_file() and path.name not in beside and not path.match(".*.json.*.tmp")

    return {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if is_whole(path)}
