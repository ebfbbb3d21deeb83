"""Where a checkpoint stores its logical matrices, by architecture, without importing transformers.

Logical names: q, k, v, o, u_in, u_gate, u_out (the paper's W_q … U_out; its U_in for Llama is `u_gate`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.architectures import ARCHITECTURES, EXPERT, LAYER_COUNTS, Architecture
from laser.errors import UserError, nearest
from laser.models.stored import read_header, read_index, weight_files

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MatrixLocation:
    """One logical matrix in a checkpoint.

    Attributes:
        parameter: name of the weight, as in the checkpoint's own files.
        part: (index, count) if several matrices are packed along the output dimension, else None.
        transposed: True if the weight is stored as (in, out), as in GPT-2's Conv1D, instead of (out, in).
        expert: index in a weight (experts, …, …) that packs the experts of a layer, else None.
    """

    parameter: str
    part: tuple[int, int] | None = None
    transposed: bool = False
    expert: int | None = None


_INDEXED = re.compile(r"(.+)\[(\d+)\]")
_OF_AN_EXPERT = re.compile(r"(?P<before>.*\.experts)\.(?P<expert>\d+)\.(?P<weight>.+)")


def architecture(config: Mapping[str, Any], mapping: Mapping[str, Any] | None = None) -> Architecture:
    """Return the layout of a checkpoint from its config.json, or from a `mapping` given in the model's entry.

    A mapping has `layer` (a prefix with {layer}) and a weight name per logical matrix. If the name has {expert}, a
    matrix `u_out` stands for one per expert: u_out_0, u_out_1, …; name[3] is the fourth expert of a weight that packs
    all experts of a layer.

    Raises:
        UserError: the architecture is unknown and there is no mapping, or the mapping is incomplete.
    """
    if mapping is not None:
        if "{layer}" not in str(mapping.get("layer")) or len(mapping) < 2:
            raise UserError(
                "model key 'mapping' needs 'layer' (a prefix such as model.layers.{layer}.) and a weight per matrix, "
                f"such as u_in: mlp.up.weight. It has: {', '.join(mapping) or 'nothing'}."
            )
        weights: dict[str, str] = {}
        for name, value in mapping.items():
            if EXPERT in str(value):
                experts = range(expert_count(config))
                weights |= {f"{name}_{expert}": value.replace(EXPERT, str(expert)) for expert in experts}
            elif name != "layer":
                weights[name] = value
        return Architecture(mapping["layer"], weights)
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
    """Return the number of layers in a config.json."""
    for key in LAYER_COUNTS:
        if key in config:
            return int(config[key])
    raise UserError("config.json names no number of layers (num_hidden_layers or n_layer).")


def expert_count(config: Mapping[str, Any]) -> int:
    """Return the number of experts of a layer in a config.json."""
    for key in ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"):
        if type(config.get(key)) is int:
            return int(config[key])
    raise UserError(
        "model key 'mapping' has {expert}, but config.json names no number of experts (num_local_experts, num_experts)."
    )


def locate(
    config: Mapping[str, Any], layer: int, matrix: str, mapping: Mapping[str, Any] | None = None
) -> MatrixLocation:
    """Return where layer `layer` (counted from 0) stores a logical matrix.

    Raises:
        UserError: the layer or the matrix does not exist, or the matrix is packed so that it cannot be edited alone.
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
    parameter = layout.layer.replace("{layer}", str(layer)) + layout.matrices[matrix]
    indexed = _INDEXED.fullmatch(parameter)
    return MatrixLocation(
        indexed[1] if indexed else parameter,
        layout.packed.get(matrix),
        matrix in layout.transposed,
        int(indexed[2]) if indexed else None,
    )


def read_matrix(folder: Path, location: MatrixLocation) -> torch.Tensor:
    """Read only one logical matrix (out, in), in fp32, from a folder's safetensors.

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

    for path in _files_with(folder, location.parameter):
        try:
            with safe_open(path, framework="pt") as handle:
                name = _matching_name(location.parameter, handle.keys())
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
        if name is not None:
            return path, name
    names = [name for file in weight_files(folder) for name in read_header(folder / file)]
    raise UserError(
        f"{folder}: no safetensors file holds '{location.parameter}'{nearest(location.parameter, names)}. "
        "Check the model's 'mapping': layer and weight together must name a stored tensor."
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
    if location.expert is not None:
        if weight.dim() != 3 or location.expert >= weight.shape[0]:
            raise UserError(
                f"the weight '{location.parameter}' has the shape {tuple(weight.shape)}: it has no expert "
                f"{location.expert}. Check the model's 'mapping'."
            )
        weight = weight[location.expert]
    if weight.dim() == 3:
        raise UserError(
            f"the weight '{location.parameter}' has the shape {tuple(weight.shape)}: it packs the matrices of "
            f"{weight.shape[0]} experts. Name one of them in the model's 'mapping': {location.parameter}[0]."
        )
    if weight.dim() != 2:
        raise UserError(
            f"the weight '{location.parameter}' has the shape {tuple(weight.shape)}: it is not a matrix. "
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
    """Return a logical matrix (out, in) of a loaded model as a view: writing into it edits the model."""
    location = locate(config, layer, matrix, mapping)
    location = _where_packed(model, location) or location
    return view_of(model.get_parameter(live_name(model, location.parameter)).data, location)


def _where_packed(model: Any, location: MatrixLocation) -> MatrixLocation | None:
    """Return where a loaded model stores the matrix of an expert that the files store separately, or None.

    transformers packs the experts of a layer into one weight while loading; its conversion mapping says how for each
    architecture.
    """
    expert = _OF_AN_EXPERT.fullmatch(location.parameter)
    names = [name for name, _ in model.named_parameters()]
    if expert is None or _matching_name(location.parameter, names) is not None:
        return None
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    layer = re.search(r"\.(\d+)\.", expert["before"])
    for transform in get_checkpoint_conversion_mapping(model.config.model_type) or []:
        operations = [type(operation).__name__ for operation in getattr(transform, "operations", [])]
        sources = [source.rsplit("experts.*.", 1)[-1].rstrip("$") for source in transform.source_patterns]
        if (
            operations not in (["MergeModulelist"], ["MergeModulelist", "Concatenate"])
            or expert["weight"] not in sources
        ):
            continue
        target = transform.target_patterns[0].rstrip("$").rsplit(".", 1)[-1]
        packed = [name for name in names if name.endswith(f".experts.{target}") and layer and layer[0] in name]
        if len(packed) == 1:
            part = (sources.index(expert["weight"]), len(sources)) if len(sources) > 1 else None
            return MatrixLocation(packed[0], part, False, int(expert["expert"]))
    return None


def live_name(model: Any, parameter: str) -> str:
    """Return the name that a checkpoint's parameter has in a loaded model. Raises UserError if it has none."""
    name = _matching_name(parameter, (name for name, _ in model.named_parameters()))
    if name is None:
        raise UserError(f"the loaded model has no parameter '{parameter}'. Check the model's 'mapping'.")
    return name


def _matching_name(wanted: str, names: Iterable[str]) -> str | None:
    """Return the name that equals `wanted`, or the only one that differs from it just by wrapper prefixes, or None."""
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
    """Drop the wrapper prefixes that differ between the names in a checkpoint and in a loaded model."""
    for prefix in ("model.", "transformer.", "roberta.", "bert.", "gpt_neox.", "decoder."):
        name = name.removeprefix(prefix)
    return name


def _files_with(folder: Path, parameter: str) -> list[Path]:
    """Return the files that may hold a weight: the one in the index, or all if there is no index."""
    index = read_index(folder)
    if index is None:
        return sorted(folder.glob("*.safetensors"))
    name = _matching_name(parameter, index)
    return [folder / index[name]] if name else []
