"""The state of an unfinished training, from which it can be resumed, in a folder beside the model's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from laser.errors import UserError
from laser.io.files import read_json, read_tensors, sha256_file, write_json, write_tensors

KINDS = ("weight", "exp_avg", "exp_avg_sq")


def checkpoint_folder(model_folder: Path) -> Path:
    """Return the folder that keeps the state of a model's training."""
    return model_folder.parent / f".{model_folder.name}.training"


def save(
    folder: Path, identity: str, model: torch.nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Write weights, optimiser and `state` (JSON: the step, the loss curve), replacing an older checkpoint.

    The tensors of a step go into a separate file; state.json, which names it, is written after it. A process that is
    killed at any moment therefore leaves the older checkpoint or the new one.

    Args:
        folder: folder from `checkpoint_folder`.
        identity: a hash of everything that the training depends on; a checkpoint of another training is never resumed.
        model: the model in training.
        optimiser: the model's AdamW.
        state: `step` and whatever else the training needs to resume.
    """
    path = folder / f"step{state['step']:08d}.safetensors"
    tensors = {}
    for name, weight in model.named_parameters():
        moments = optimiser.state.get(weight, {})
        tensors[f"weight.{name}"] = weight.detach()
        # A weight that the loss does not reach, such as a policy's unused head, has no moments.
        tensors |= {f"{kind}.{name}": moments[kind] for kind in KINDS[1:] if kind in moments}
    write_tensors(path, {name: tensor.cpu() for name, tensor in tensors.items()})
    write_json(folder / "state.json", {"identity": identity, "file": path.name, "sha256": sha256_file(path), **state})
    for older in folder.glob("step*.safetensors"):
        if older != path:
            older.unlink()


def restore(
    folder: Path, identity: str, model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore a checkpoint's weights and optimiser, and return its state, or None if this training has none."""
    try:
        state = read_json(folder / "state.json")
        path = folder / state["file"]
        if state["identity"] != identity or state["sha256"] != sha256_file(path):
            return None
        tensors = read_tensors(path)
    except (UserError, OSError, KeyError, TypeError):
        return None
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(tensors[f"weight.{name}"])
            moments = {
                kind: tensors[f"{kind}.{name}"].to(weight.device) for kind in KINDS[1:] if f"{kind}.{name}" in tensors
            }
            if moments:
                optimiser.state[weight] = {"step": torch.tensor(float(state["step"])), **moments}
    return state


def remove(folder: Path) -> None:
    """Remove a training's folder, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
