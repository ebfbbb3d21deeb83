"""Where a checkpoint keeps its logical matrices, by architecture, without importing transformers.

Logical names: q, k, v, o, u_in, u_gate, u_out (the paper's W_q … U_out; its U_in for Llama is `u_gate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.architectures import ARCHITECTURES, Architecture
from laser.errors import UserError, nearest
from laser.io.files import read_json

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MatrixLocation:
    """One logical matrix in a checkpoint.

    Attributes:
        parameter: name of the weight, as in the checkpoint's own files.
        part: (index, count) where several matrices are packed along the output dimension, else None.
        transposed: the weight is stored (in, out), as GPT-2's Conv1D does, instead of (out, in).
    """

    parameter: str
    part: tuple[int, int] | None = None
    transposed: bool = False


def architecture(config: Mapping[str, Any], mapping: Mapping[str, Any] | None = None) -> Architecture:
    """Return the layout of a checkpoint from its config.json, or from a `mapping` given in the model's entry.

    A mapping has `layer` (a prefix with {layer}) and a weight name per logical matrix.

    Raises:
        UserError: an architecture that is not known and no mapping.
    """
    if mapping is not None:
        if "{layer}" not in str(mapping.get("layer")) or len(mapping) < 2:
            raise UserError(
                "model key 'mapping' needs 'layer' (a prefix such as model.layers.{layer}.) and a weight per matrix, "
                f"such as u_in: mlp.up.weight. It has: {', '.join(mapping) or 'nothing'}."
            )
        return Architecture(mapping["layer"], {name: value for name, value in mapping.items() if name != "layer"})
    name = str(config.get("model_type"))
    if name not in ARCHITECTURES:
        raise UserError(
            f"the architecture '{name}' is not known{nearest(name, ARCHITECTURES)}. "
            f"Known: {', '.join(sorted(ARCHITECTURES))}. "
            "For another one give the model's entry a 'mapping': layer: model.layers.{layer}. and a weight per matrix, "
            "such as u_in: mlp.up.weight."
        )
    return ARCHITECTURES[name]


def matrices(config: Mapping[str, Any], mapping: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the logical matrices that the architecture has and that can be edited."""
    return tuple(architecture(config, mapping).matrices)


def layer_count(config: Mapping[str, Any]) -> int:
    """Return the number of layers that a config.json names."""
    for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        if key in config:
            return int(config[key])
    raise UserError("config.json names no number of layers (num_hidden_layers or n_layer).")


def locate(
    config: Mapping[str, Any], layer: int, matrix: str, mapping: Mapping[str, Any] | None = None
) -> MatrixLocation:
    """Return where layer `layer` (counted from 0) keeps a logical matrix.

    Raises:
        UserError: the layer or the matrix does not exist, or the matrix is packed in a way that cannot be edited alone.
    """
    layout = architecture(config, mapping)
    name = config.get("model_type")
    count = layer_count(config)
    if not 0 <= layer < count:
        raise UserError(f"layer {layer} does not exist: the model has layers 0 to {count - 1}.")
    if matrix in layout.refused:
        raise UserError(f"the matrix '{matrix}' of {name} cannot be edited alone: {layout.refused[matrix]}.")
    if matrix not in layout.matrices:
        raise UserError(f"the architecture {name} has no matrix '{matrix}'. It has: {', '.join(layout.matrices)}.")
    return MatrixLocation(
        layout.layer.replace("{layer}", str(layer)) + layout.matrices[matrix],
        layout.packed.get(matrix),
        matrix in layout.transposed,
    )


def read_matrix(folder: Path, location: MatrixLocation) -> torch.Tensor:
    """Read one logical matrix (out, in) in fp32 from a folder's safetensors, and nothing else.

    Raises:
        UserError: no file of the folder holds the weight, or the file is damaged.
    """
    path, name = find_weight(folder, location)
    return view_of(read_weight(path, name), location).float().contiguous()


def find_weight(folder: Path, location: MatrixLocation) -> tuple[Path, str]:
    """Return the safetensors file of a folder that holds a matrix's weight, and the weight's name in it.

    Raises:
        UserError: no file of the folder holds the weight, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    for path in _weight_files(folder, location.parameter):
        try:
            with safe_open(path, framework="pt") as handle:
                name = _find(location.parameter, handle.keys())
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
        if name is not None:
            return path, name
    raise UserError(
        f"{folder}: no safetensors file holds '{location.parameter}'. Delete the folder and fetch the model again."
    )


def read_weight(path: Path, name: str) -> torch.Tensor:
    """Read one tensor of a safetensors file as it is stored. Raises UserError if the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as handle:
            stored: torch.Tensor = handle.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error
    return stored


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read ({error}). Delete its folder and fetch it again.")


def view_of(weight: torch.Tensor, location: MatrixLocation) -> torch.Tensor:
    """Return the logical matrix (out, in) as a view of the stored weight.

    Raises:
        UserError: the weight is not a matrix.
    """
    if weight.dim() != 2:
        raise UserError(
            f"the weight '{location.parameter}' has the shape {tuple(weight.shape)}: it is no matrix. "
            "Check the model's 'mapping'."
        )
    matrix = weight.T if location.transposed else weight
    if location.part is None:
        return matrix
    index, count = location.part
    size = matrix.shape[0] // count
    return matrix[index * size : (index + 1) * size]


def parameter_view(
    model: Any, config: Mapping[str, Any], layer: int, matrix: str, mapping: Mapping[str, Any] | None = None
) -> torch.Tensor:
    """Return a logical matrix (out, in) of a live model as a view: writing into it edits the model."""
    location = locate(config, layer, matrix, mapping)
    return view_of(model.get_parameter(live_name(model, location.parameter)).data, location)


def live_name(model: Any, parameter: str) -> str:
    """Return the name that a checkpoint's parameter has in a loaded model. Raises UserError if it has none."""
    name = _find(parameter, (name for name, _ in model.named_parameters()))
    if name is None:
        raise UserError(f"the loaded model has no parameter '{parameter}'. Check the model's 'mapping'.")
    return name


def _find(wanted: str, names: Iterable[str]) -> str | None:
    """Return the name that is `wanted`, or the one that differs from it by wrapper prefixes alone."""
    names = list(names)
    if wanted in names:
        return wanted
    alike = [name for name in names if _bare(name) == _bare(wanted)]
    if len(alike) > 1:
        raise UserError(
            f"the weight '{wanted}' may be any of {', '.join(alike)}: give its whole name in the model's 'mapping'."
        )
    return alike[0] if alike else None


def _bare(name: str) -> str:
    """Drop the wrapper prefixes that differ between a checkpoint's names and a loaded model's."""
    for prefix in ("model.", "transformer.", "roberta.", "bert.", "gpt_neox.", "decoder."):
        name = name.removeprefix(prefix)
    return name


def _weight_files(folder: Path, parameter: str) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    files = sorted(folder.glob("*.safetensors"))
    if index.is_file():
        where = read_json(index)["weight_map"]
        name = _find(parameter, where)
        return [folder / where[name]] if name else []
    return files
