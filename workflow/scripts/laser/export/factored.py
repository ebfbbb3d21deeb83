"""Transformers models loaded from checkpoints in which one matrix is stored as two factors.

`laser.export.checkpoint` writes them. Their weight files have names that transformers does not look for, so that plain
`from_pretrained` refuses the folder instead of filling the missing matrix with random numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, GenerationConfig

from laser.errors import UserError
from laser.io.files import read_json, read_tensors
from laser.models.adapter import live_name
from laser.models.device import DTYPES
from laser.models.kinds import task_of

RECORD = "factors.json"
PREFIX = "factored-"


class FactoredLinear(torch.nn.Module):
    """Two linear layers y = left(right(x)) in place of one with the dense weight left · right.

    Both are `torch.nn.Linear`, so that adapters such as those of PEFT find them by name.

    Attributes:
        left: linear layer with the weight (out, k) and the bias of the layer that the two replace.
        right: linear layer with the weight (k, in), without bias.
    """

    def __init__(self, left: torch.Tensor, right: torch.Tensor, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.right = linear(right, None)
        self.left = linear(left, bias)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out, in), computed on access."""
        return self.left.weight @ self.right.weight

    @property
    def bias(self) -> torch.nn.Parameter | None:
        """The bias (out,), or None."""
        return self.left.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for states (…, in): (…, out)."""
        return self.left(self.right(states))


def linear(weight: torch.Tensor, bias: torch.nn.Parameter | None) -> torch.nn.Linear:
    """Return a linear layer with the given weight (out, in), which is frozen, and bias."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    layer.register_parameter("bias", bias)
    return layer


@contextlib.contextmanager
def with_module(model: Any, name: str, module: torch.nn.Module) -> Iterator[None]:
    """Replace the model's module of a name for the duration of the block, then restore the original."""
    before = model.get_submodule(name)
    model.set_submodule(name, module)
    try:
        yield
    finally:
        model.set_submodule(name, before)


def load_factored(folder: Path | str, dtype: str | None = None) -> Any:
    """Load a factored checkpoint into a transformers model whose edited matrix stays two factors.

    Args:
        folder: a folder that `laser.export.checkpoint` wrote in the form `factored`.
        dtype: fp32, fp16 or bf16; None for the one in config.json.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        UserError: the folder is not a factored checkpoint, or a weight is missing.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise UserError(f"{folder}: has no {RECORD}, so it is not a factored checkpoint. Use from_pretrained.")
    record, raw = read_json(folder / RECORD), read_json(folder / "config.json")
    state: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob(f"{PREFIX}*.safetensors")):
        state |= read_tensors(path)
    names = (record["left"], record["right"])
    if any(name not in state for name in names):
        raise UserError(f"{folder}: its weight files lack {' or '.join(names)}. Export the model again.")
    left, right = (state.pop(name) for name in names)
    dense = (left.float() @ right.float()).to(left.dtype)
    state[record["parameter"]] = dense.T.contiguous() if record["transposed"] else dense
    kinds: Any = MODEL_FOR_MASKED_LM_MAPPING if task_of(raw) == "masked" else MODEL_FOR_CAUSAL_LM_MAPPING
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    chosen = DTYPES[dtype] if dtype else config.dtype or left.dtype
    model, info = kinds[type(config)].from_pretrained(
        None, config=config, state_dict=state, dtype=chosen, output_loading_info=True
    )
    if info["missing_keys"]:
        raise UserError(f"{folder}: lacks weights, such as {sorted(info['missing_keys'])[0]}. Export the model again.")
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    module = live_name(model, record["parameter"]).removesuffix(".weight")
    linear = model.get_submodule(module)
    model.set_submodule(module, FactoredLinear(left.to(chosen), right.to(chosen), linear.bias))
    return model.eval().requires_grad_(False)
