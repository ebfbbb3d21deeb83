"""Facts about a local model that a study need not declare: read from its folder when the study is planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from laser.config.architectures import LAYER_COUNTS
from laser.errors import UserError, shortened
from laser.io.files import digest, read_json
from laser.io.user_paths import expanded

DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
"""Names of dtypes in config.json and in the headers of safetensors files."""
NEEDED = ("architecture", "layers", "dtype")
COMPARED = ("architecture", "task", "layers")


def with_facts_of_folder(item: Any, cache: Path | None, where: str) -> Any:
    """Return a model of a study; for a local one, its folder fills in the keys that are not declared.

    Args:
        item: a name, or an entry.
        cache: the cache's folder, where a card describes a model whose own folder was removed after it was fetched.
        where: file and key, for messages.

    Raises:
        UserError: there is no such folder, its config.json does not say what is needed, or it contradicts the entry.
    """
    source = item.get("source") if isinstance(item, dict) else None
    if not isinstance(source, dict) or source.get("kind") != "local":
        return item
    folder = Path(expanded(source["path"], f"{where}.source.path"))
    card = None if cache is None else cache / "models" / f"{item['name']}-{digest(source, 8)}" / "card.json"
    if folder.is_dir():
        facts = _facts(folder, where)
    elif card is not None and card.is_file():
        known = read_json(card)
        facts = {key: known.get(key) for key in COMPARED} | {"dtype": _evaluated(known.get("dtype_stored"))}
    elif all(key in item for key in NEEDED):
        return item  # whether the folder is there is checked before any job (`laser.tasks.planned`)
    else:
        raise UserError(f"{where}.source.path is {no_folder(source['path'], folder)}")
    for key in COMPARED:
        if key in item and facts[key] not in (None, item[key]):
            raise UserError(
                f"{where}.{key} is {item[key]}, but {folder / 'config.json'} says {facts[key]}. Correct it, or leave "
                "it out: it is read from there."
            )
    missing = [key for key in NEEDED if facts[key] is None and key not in item]
    if missing:
        raise UserError(
            f"{where}: {folder / 'config.json'} does not say what the model's {missing[0]} is. Give it as "
            f"{where}.{missing[0]}."
        )
    return {key: value for key, value in facts.items() if value is not None} | item


def no_folder(path: str, folder: Path) -> str:
    """Return the end of a message about a local model whose folder is not there."""
    absolute = "" if Path(path).is_absolute() else f" ({folder.absolute()})"
    return (
        f"'{path}', which is not a folder{absolute}. Give the folder that holds config.json, model.safetensors and "
        "tokenizer.json."
    )


def _facts(folder: Path, where: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"{where}.source.path is '{folder}', which holds no config.json. Give the folder of a checkpoint."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}). Save or fetch the model again.") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError(
            f"{path}: holds no model_type, which names the architecture, such as llama. Save the model again."
        )
    layers = next((config[key] for key in LAYER_COUNTS if key in config), None)
    if layers is not None and (not isinstance(layers, int) or isinstance(layers, bool) or layers < 1):
        raise UserError(f"{path}: the number of layers is {shortened(layers)}. It must be a whole number, at least 1.")
    names = config.get("architectures")
    task = None
    if isinstance(names, list) and names and config["model_type"] != "decision_transformer":
        task = "masked" if any("MaskedLM" in str(name) for name in names) else "causal"
    return {
        "architecture": config["model_type"],
        "task": task,
        "layers": layers,
        "dtype": _dtype(folder, config),
    }


def _dtype(folder: Path, config: dict[str, Any]) -> str:
    """Return the dtype in which the weights are stored: that of the first safetensors file, else of config.json."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as stored:
                dtypes = [stored.get_slice(name).get_dtype() for name in stored.keys()]  # noqa: SIM118, it is no dict
            return _evaluated(max(dtypes, key=dtypes.count))
        except (OSError, ValueError, SafetensorError):
            break  # fetching says what is wrong with the file
    named = config.get("dtype") or config.get("torch_dtype")
    return _evaluated(named)


def _evaluated(stored: Any) -> str:
    """Return the dtype in which a model is evaluated, given the name of its stored one; fp32 if that is unknown."""
    return DTYPES.get(str(stored), str(stored) if stored in DTYPES.values() else "fp32")
