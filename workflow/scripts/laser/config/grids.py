"""The matrices and layers that a study names, checked against those of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from laser.config.architectures import ARCHITECTURES, in_mapping, mapped_matrices
from laser.errors import UserError, nearest


def matrices_of(model: Mapping[str, Any], where: str) -> list[str]:
    """Return the logical matrices of a model's entry.

    Raises:
        UserError: neither its architecture is known, nor has it a mapping; `where` is the study's key.
    """
    name = model["architecture"]
    if model.get("mapping") is not None:
        return mapped_matrices(model["mapping"])
    if name not in ARCHITECTURES:
        raise UserError(
            f"{where}: the model '{model['name']}' has the architecture '{name}'{nearest(name, ARCHITECTURES)}, "
            f"which is not known. Known: {', '.join(sorted(ARCHITECTURES))}; or give the model a 'mapping' "
            "(config/model.md)."
        )
    return list(ARCHITECTURES[name].matrices)


def check_matrices(matrices: Sequence[str], model: Mapping[str, Any], where: str) -> None:
    """Refuse a matrix that a model does not have, or that cannot be edited on its own; `where` is the study's key."""
    has, mapping, name = matrices_of(model, where), model.get("mapping"), model["architecture"]
    refused = ARCHITECTURES[name].refused if mapping is None else {}
    for matrix in matrices:
        if not (matrix in has if mapping is None else in_mapping(mapping, matrix)):
            reason = f" ({refused[matrix]})" if matrix in refused else ""
            raise UserError(
                f"{where} holds '{matrix}', which cannot be edited in the model '{model['name']}' ({name}){reason}. "
                f"Allowed: {', '.join(has)}."
            )


def chosen_layers(layers: Sequence[int] | str, model: Mapping[str, Any], where: str) -> list[int]:
    """Return layers of a model in order, all of them for "all". Raises UserError for one that it does not have."""
    count = model["layers"]
    if layers == "all":
        return list(range(count))
    for layer in layers:
        if int(layer) >= count:
            raise UserError(
                f"{where} holds {layer}, but the model '{model['name']}' has {count} layers. "
                f"Allowed: 0 to {count - 1}, or all."
            )
    return sorted(map(int, layers))
