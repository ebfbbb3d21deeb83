"""Loading a checkpoint from a folder: safetensors only, no remote code, no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoTokenizer

from laser.errors import UserError
from laser.io.files import read_json
from laser.models.kinds import POLICY, auto_class, task_of
from laser.models.precision import configure_allocator, gpu_given_by, pin_precision, seen

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")


@dataclass
class LoadedModel:
    """A model ready for evaluation.

    Attributes:
        model: in evaluation mode, without gradients.
        tokenizer: of the same folder; None for a policy.
        config: config.json as a plain dict.
        task: `causal`, `masked` or `policy`.
        device: where the model is.
        dtype: fp32, fp16 or bf16.
        folder: where it came from.
        card: card.json of the folder, or an empty dict.
        mapping: where an unknown architecture keeps its matrices (`laser.models.adapter.locate`), or None.
    """

    model: Any
    tokenizer: Any
    config: dict[str, Any]
    task: str
    device: torch.device
    dtype: str
    folder: Path
    card: dict[str, Any] = field(default_factory=dict)
    mapping: dict[str, Any] | None = None

    @property
    def max_positions(self) -> int | None:
        """Return how many tokens the model takes, or None where its config does not say."""
        count = self.config.get("max_position_embeddings") or self.config.get("n_positions")
        if count is None:
            return None
        if self.config["model_type"] in ("roberta", "xlm-roberta"):
            return count - self.config.get("pad_token_id", 1) - 1  # its positions count from the padding token's id on
        return count


def set_threads(count: int) -> None:
    """Fix the number of CPU threads: another number sums in another order and gives other last digits."""
    torch.set_num_threads(count)


def resolve_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` stands for, its precision pinned (`laser.models.precision`).

    Raises:
        UserError: there is no usable GPU, and either cuda is asked for, or the job was given a GPU.
    """
    if name == "cpu":
        return torch.device("cpu")
    configure_allocator()
    pin_precision()
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = gpu_given_by()
    if name == "cuda":
        raise UserError(
            f"config key 'device' is 'cuda', but torch sees no CUDA device. {seen()} Use auto or cpu, or install a "
            "CUDA build of torch that fits the driver (docs/cluster.md)."
        )
    if given is not None:
        raise UserError(
            f"this job was given a GPU ({given}), but torch sees none, and a CPU would take days for what the GPU was "
            f"meant for. {seen()} Install a CUDA build of torch that fits the driver (docs/cluster.md), or set config "
            "key 'device' to 'cpu'."
        )
    return torch.device("cpu")


def load(folder: Path, dtype: str = "fp32", device: str = "auto", mapping: dict[str, Any] | None = None) -> LoadedModel:
    """Load model and tokenizer from a folder.

    The attention kernel is the architecture's default in transformers (`sdpa` where it has one, else `eager`).

    Raises:
        UserError: the folder holds no checkpoint that transformers knows, or it is damaged or incomplete.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = read_json(folder / "config.json")
    task = task_of(config)
    kind = auto_class(task)
    where = resolve_device(device)
    if task != POLICY and not any((folder / name).is_file() for name in VOCABULARIES):
        # transformers would build a tokenizer of special tokens alone, without a word
        raise _unusable(folder, f"it has no vocabulary: one of {', '.join(VOCABULARIES)}")
    try:
        model, info = kind.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
        )
        tokenizer = None
        if task != POLICY:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unusable(folder, (str(error).splitlines() or [type(error).__name__])[0]) from error
    absent = sorted(info["missing_keys"]) + sorted(one[0] for one in info["mismatched_keys"])
    if absent:
        # transformers would fill them with random numbers
        raise _unusable(folder, f"{len(absent)} weights are missing or have another shape, such as {absent[0]}")
    model = model.to(where).eval().requires_grad_(False)
    path = folder / "card.json"
    card = read_json(path) if path.is_file() else {}
    return LoadedModel(model, tokenizer, config, task, where, dtype, folder, card, mapping)


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder}: cannot be loaded ({reason}). Delete the folder and fetch it again.")
