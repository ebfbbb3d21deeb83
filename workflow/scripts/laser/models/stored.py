"""The contents of a checkpoint's files, read only from config.json, the index and the safetensors headers.

The files are untrusted: every function returns a checked value or raises a `UserError`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError, shortened

INDEX = "model.safetensors.index.json"
DTYPES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F64": "fp64"}
"""Stored types of weights that can be studied."""

BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
    **{"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64},
    **{"F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
BYTES = {name: BITS[stored] // 8 for stored, name in DTYPES.items()}
"""Bytes of one value, by the names in `DTYPES`."""

LONGEST_HEADER = 100_000_000
"""Largest size of a header in bytes, the limit of the safetensors format."""

CODES = ("qweight", "qzeros", "weight_packed", "absmax", "SCB", "W_q", "quant_map", "quant_state")
"""Last parts of tensor names that only quantised checkpoints have (GPTQ, AWQ, bitsandbytes, HQQ and others)."""

SCALES = ("_scale", "_scale_inv", "_scales", "_scale_2", ".scale", ".scales", ".scale_inv", ".absmax", ".SCB")
"""Suffixes that turn the name of a weight or layer into the name of its scale."""

LFS_POINTER = b"version https://git-lfs"
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_config.json")


def refuse_pointer(path: Path) -> None:
    """Refuse a file that is a Git LFS pointer instead of the file itself.

    Raises:
        UserError: the file is a pointer.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(len(LFS_POINTER))
    except OSError:
        return
    if start == LFS_POINTER:
        raise UserError(
            f"{path}: is a Git LFS pointer ({path.stat().st_size} bytes), not the file itself. "
            "Run `git lfs pull` where it was cloned, or download the file from the hub."
        )


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a checkpoint's JSON file.

    Raises:
        UserError: there is no such file, or it does not contain an object.
    """
    if not path.is_file():
        raise UserError(f"{path.parent}: holds no {path.name}.")
    refuse_pointer(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}). Fetch the file again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds {shortened(value)}, not an object of keys and values. Fetch the file again.")
    return value


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a folder.

    Raises:
        UserError: it is missing, damaged or without an architecture.
    """
    config = read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise UserError(
            f"{folder / 'config.json'}: model_type is {shortened(config.get('model_type'))}; it must name the "
            "architecture, such as llama. Use a config.json that transformers wrote."
        )
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{folder / 'config.json'}: architectures is {shortened(names)}; it must be a list of names.")
    return config


def read_index(folder: Path) -> dict[str, str] | None:
    """Return a folder's index as tensor name to file name, or None without an index.

    Raises:
        UserError: the index is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    files = read_object(path).get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise UserError(
            f"{path}: weight_map is {shortened(files)}; it must name the file of every weight. Fetch the file again."
        )
    return files


def weight_files(folder: Path) -> list[str]:
    """Return the names of a folder's safetensors files: those of its index, or the single one.

    Raises:
        UserError: there are none, the index names a missing file, there are parts without an index, or there is only
            an adapter.
    """
    index = read_index(folder)
    if index is not None:
        names = sorted(set(index.values()))
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise UserError(f"{folder}: {INDEX} names the file '{name}', which is not there.")
        return names
    names = sorted(path.name for path in folder.glob("*.safetensors") if path.name not in ADAPTERS)
    if "model.safetensors" in names:
        return ["model.safetensors"]
    if not names:
        adapters = [name for name in ADAPTERS if (folder / name).is_file()]
        if adapters:
            raise UserError(
                f"{folder}: holds only an adapter ({', '.join(adapters)}), not the weights of a model. Merge it into "
                "its base model once (peft: model.merge_and_unload().save_pretrained(folder)) and use that folder."
            )
        raise UserError(f"{folder}: holds no .safetensors file.")
    if len(names) > 1:
        raise UserError(
            f"{folder}: holds {len(names)} safetensors files ({shortened(', '.join(names))}) and neither {INDEX} nor "
            f"model.safetensors, so it is unknown which belong together and whether one is "
            f"missing. Add {INDEX}, which is published with the checkpoint."
        )
    raise UserError(
        f"{folder}: its only safetensors file is '{names[0]}'. transformers reads model.safetensors: rename it if it "
        f"is the whole model, or add {INDEX} and the other parts."
    )


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return the header of a safetensors file: tensor name to dtype, shape and data_offsets.

    Raises:
        UserError: the file is damaged, or shorter or longer than its header says.
    """
    refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > min(size, LONGEST_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(handle.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is not an object")
        header.pop("__metadata__", None)
        end = 0
        for name, tensor in sorted(header.items(), key=lambda item: _offsets(*item)):
            start, stop = _offsets(name, tensor)
            if start != end or stop - start != _bytes(name, tensor):
                raise ValueError(f"the bytes of '{name}' are not where its header says")
            end = stop
        if 8 + length + end != size:
            raise ValueError(f"it has {size:,} bytes instead of {8 + length + end:,}")
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise UserError(
            f"{path}: is not a complete safetensors file ({error}). Delete it and fetch it again."
        ) from error
    return header


def _offsets(name: str, tensor: Any) -> tuple[int, int]:
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(value) is int for value in offsets):
        raise ValueError(f"its entry '{name}' is {shortened(tensor)}, without two data_offsets")
    return offsets[0], offsets[1]


def _bytes(name: str, tensor: Mapping[str, Any]) -> int:
    """Return the size of a tensor in bytes, from its dtype and shape."""
    dtype, shape = tensor.get("dtype"), tensor.get("shape")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"the dtype of '{name}' is {shortened(dtype)}")
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError(f"the shape of '{name}' is {shortened(shape)}")
    return math.prod(shape) * BITS[dtype] // 8


def refuse_quantised(
    folder: Path, config: Mapping[str, Any], headers: Iterable[Mapping[str, Mapping[str, Any]]]
) -> None:
    """Refuse a checkpoint whose weights are stored as quantisation codes instead of values.

    Raises:
        UserError: the checkpoint is quantised; the message names the method or the first such tensor.
    """
    advice = (
        "Use the original checkpoint, or de-quantise it once with that library (model.dequantize() if transformers "
        "has it, then save_pretrained) and fetch the result."
    )
    for key in ("quantization_config", "compression_config"):
        if config.get(key):
            settings = config[key]
            method = settings.get("quant_method") if isinstance(settings, Mapping) else None
            raise UserError(
                f"{folder}: is a quantised checkpoint ({key} in config.json"
                f"{f', quant_method: {method}' if method else ''}). Only weights in {_allowed()} are studied. {advice}"
            )
    tensors = {name: tensor for header in headers for name, tensor in header.items()}
    for name, tensor in tensors.items():
        last = name.rsplit(".", 1)[-1]
        reason = ""
        if last in CODES:
            reason = "a name that only quantised checkpoints have"
        elif tensor["dtype"].startswith(("F8_", "F4", "F6_", "C64")) or (
            last == "weight" and tensor["dtype"] not in DTYPES
        ):
            reason = f"the stored type {tensor['dtype']}"
        elif len(tensor["shape"]) >= 2:
            scale = next((scale for scale in _scales_of(name) if scale in tensors), None)
            reason = f"a scale beside it, '{scale}'" if scale else ""
        if reason:
            raise UserError(
                f"{folder}: the tensor '{name}' has {reason}: its weights are stored as codes of a quantisation. "
                f"Only weights in {_allowed()} are studied. {advice}"
            )


def _scales_of(name: str) -> list[str]:
    layer = name.removesuffix(".weight")
    return [base + scale for base in dict.fromkeys((name, layer)) for scale in SCALES]


def _allowed() -> str:
    return ", ".join(DTYPES.values())


OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf")


def only_safetensors(others: Iterable[str]) -> str:
    """Return the addition to a message for a folder that has weights only in other formats."""
    return (
        f" There are {', '.join(others)}, but only safetensors are read: save the checkpoint once with save_pretrained "
        "of transformers, which writes them (config/README.md)."
    )


def adapter_note(names: Iterable[str]) -> list[str]:
    """Return a note if the folder has an adapter beside the weights of a model."""
    adapters = sorted(set(names) & set(ADAPTERS))
    return [f"an adapter lies beside the weights ({', '.join(adapters)}); it is not used"] if adapters else []
