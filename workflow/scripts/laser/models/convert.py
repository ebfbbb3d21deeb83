"""Other formats into safetensors, each conversion in its own process: python -m laser.models.convert --help.

Two formats: GGUF (de-quantised to fp32) and PyTorch's .bin (same dtypes, tensors only). A process of its own gives its
memory back, keeps a library's progress bars off our output, and shuts the only reader of a pickle away from the rest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import write_json, write_tensors

PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def convert(format_: str, source: Path, target: Path) -> None:
    """Convert one file in a new process without network.

    Args:
        format_: `gguf` or `bin`.
        source: the file.
        target: for `gguf` the folder that gets model.safetensors, config.json and the tokenizer; for `bin` the
            safetensors file.

    Raises:
        UserError: the file cannot be read, or holds what is not allowed.
    """
    search = os.pathsep.join(part for part in (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")) if part)
    quiet = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "PYTHONPATH": search}
    command = [sys.executable, "-m", "laser.models.convert", format_, str(source), str(target)]
    run = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = run.stderr.strip().splitlines()
        last = lines[-1].removeprefix("ERROR: ") if lines else ""
        if run.returncode < 0:
            last = f"the process was killed by signal {-run.returncode}; most likely there was too little memory"
        raise UserError(f"{source.name}: cannot be converted to safetensors: {last}")


def gguf_to_safetensors(source: Path, folder: Path) -> None:
    """De-quantise a GGUF file to fp32 and write model.safetensors, config.json and the tokenizer into `folder`.

    Tied weights are written once. The written config has no quantisation, so that a plain `from_pretrained` reads it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    except (OSError, ValueError, KeyError, IndexError, ImportError) as error:
        raise UserError(
            f"transformers does not read this GGUF file ({type(error).__name__}: {_first_line(error)})."
        ) from error
    tensors: dict[str, Any] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor
    write_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    tokenizer.save_pretrained(folder)
    config = model.config.to_dict() | {"architectures": [type(model).__name__], "dtype": "float32"}
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        config.pop(key, None)
    write_json(folder / "config.json", config)


def bin_to_safetensors(source: Path, target: Path) -> None:
    """Write the tensors of a PyTorch .bin file as safetensors, with their names, shapes and dtypes.

    Tensors that share memory are written once each, as safetensors has no sharing.

    Raises:
        UserError: the file holds anything else than a flat dict of dense tensors.
    """
    import pickle

    import torch

    try:
        try:
            # no-pickle: weights_only admits tensors and plain containers; this is the one place that opens such a file.
            state = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            # no-pickle: the same for files older than PyTorch 1.6, which cannot be mapped into memory.
            state = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            "it holds something else than tensors, which is never loaded. Use a checkpoint in safetensors."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(
            f"it is damaged or no PyTorch file ({_first_line(error)}). Delete it and fetch it again."
        ) from error
    if not isinstance(state, dict) or not state:
        raise UserError("it holds no dict of tensors. Use a checkpoint in safetensors.")
    tensors: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise UserError(
                f"its entry '{name}' is a {type(value).__name__}, not a dense tensor. Use a checkpoint in safetensors."
            )
        place = value.untyped_storage().data_ptr()
        tensors[name] = value.detach().clone() if place in taken else value.detach()
        taken.add(place)
    write_tensors(target, tensors, {"format": "pt"})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def main(arguments: list[str] | None = None) -> int:
    """Run one conversion; return the exit status. The last line on stderr says what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m laser.models.convert", description=__doc__)
    parser.add_argument("format", choices=("gguf", "bin"))
    parser.add_argument("source", type=Path, help="the file to convert")
    parser.add_argument("target", type=Path, help="a folder for gguf, a .safetensors file for bin")
    given = parser.parse_args(arguments)
    try:
        (gguf_to_safetensors if given.format == "gguf" else bin_to_safetensors)(given.source, given.target)
    except UserError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"ERROR: {type(error).__name__}: {_first_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
