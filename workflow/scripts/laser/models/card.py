"""What a checkpoint folder really holds: the facts of its card, read from its files and held against the entry."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import read_json, sha256_file
from laser.io.records import CACHE_RECORD, CACHE_RUN
from laser.models.kinds import auto_class, task_of

DTYPES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F64": "fp64"}
DECLARED = (
    "architecture",
    "task",
    "layers",
    "hidden",
    "intermediate",
    "heads",
    "key_value_heads",
    "vocabulary",
    "positions",
    "parameters",
)


def weight_files(folder: Path) -> list[str]:
    """Return the names of a folder's safetensors files: those of its index where it has one, else all.

    Raises:
        UserError: there is none, or the index names a file that is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
    elif (folder / "model.safetensors").is_file():
        names = ["model.safetensors"]
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names:
        raise UserError(f"{folder}: holds no .safetensors file.")
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise UserError(f"{folder}: {index.name} names the file '{name}', which is not there.")
    return names


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: name to dtype, shape and data_offsets.

    Raises:
        UserError: the file is damaged, or shorter or longer than its header says.
    """
    try:
        with path.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            header: dict[str, Any] = json.loads(handle.read(length))
        header.pop("__metadata__", None)
        end = max((int(one["data_offsets"][1]) for one in header.values()), default=0)
        if 8 + length + end != path.stat().st_size:
            raise ValueError(f"it has {path.stat().st_size:,} bytes instead of {8 + length + end:,}")
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise UserError(f"{path}: is no whole safetensors file ({error}). Delete it and fetch it again.") from error
    return header


def inspect(folder: Path) -> dict[str, Any]:
    """Return the facts of a checkpoint: architecture, task, shapes, parameters, stored dtype.

    The model is built without memory for its weights, which tells both the number of parameters and whether every
    weight of the model is in the files with the right shape (a missing one would silently be random).

    Raises:
        UserError: the folder is no checkpoint that transformers knows, or weights are missing.
    """
    headers = [read_header(folder / name) for name in weight_files(folder)]
    counts: Counter[str] = Counter()
    for header in headers:
        for tensor in header.values():
            size = 1
            for extent in tensor["shape"]:
                size *= extent
            counts[tensor["dtype"]] += size
    stored = max(DTYPES, key=lambda one: counts[one])

    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: holds no config.json.")
    raw = read_json(folder / "config.json")
    task = task_of(raw)
    kind = auto_class(task)
    try:
        loaded: Any = kind.from_pretrained(
            folder,
            device_map="meta",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        model, loading = loaded
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        lines = str(error).splitlines() or ["no message"]
        raise UserError(
            f"{folder}: transformers cannot read it as a {task} {'model' if task == 'policy' else 'language model'} "
            f"({lines[0]}). "
            "Use a checkpoint whose architecture transformers has itself, without code of its own."
        ) from error
    wrong = sorted(loading["missing_keys"]) + sorted(one[0] for one in loading["mismatched_keys"])
    if wrong:
        raise UserError(
            f"{folder}: {len(wrong)} weights that the model in config.json needs are missing or have another shape, "
            f"first {wrong[0]}. Config and weights do not belong together; fetch both from one revision."
        )
    config = model.config
    return {
        "architecture": config.model_type,
        "task": task,
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "intermediate": getattr(config, "intermediate_size", None)
        or getattr(config, "n_inner", None)
        or 4 * config.hidden_size,
        "heads": config.num_attention_heads,
        "key_value_heads": getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        "vocabulary": config.vocab_size,
        "positions": getattr(config, "max_position_embeddings", None),
        "parameters": model.num_parameters(),
        "dtype_stored": DTYPES[stored],
    }


def check_declared(entry: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Hold what a model's entry declares against the checkpoint.

    Raises:
        UserError: naming the key, what is declared and what was found.
    """
    for key in DECLARED:
        if key in entry and key in facts and entry[key] != facts[key]:
            raise UserError(
                f"model '{entry['name']}': {key} is declared as {entry[key]}, but the checkpoint has {facts[key]}. "
                f"Correct {key} in the model's entry (config/models.yaml or the study), or its source."
            )


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of a checkpoint's folder, by name; its card and what made it are none of it."""
    beside = ("card.json", CACHE_RECORD, CACHE_RUN)

    def is_whole(path: Path) -> bool:
        # A record may just be being written: it has a hidden name until it is there.
        return path.is_file() and path.name not in beside and not path.match(".*.json.*.tmp")

    return {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if is_whole(path)}
