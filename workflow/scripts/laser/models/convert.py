"""GGUF to safetensors, in a separate process: python -m laser.models.convert --help.

The process frees its memory when it ends, and keeps a library's progress bars out of our output.
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


def convert(source: Path, folder: Path) -> None:
    """Convert one GGUF file in a new process without network.

    Args:
        source: the GGUF file.
        folder: the folder that receives model.safetensors, config.json and the tokenizer.

    Raises:
        UserError: the file cannot be read or converted.
    """
    search = os.pathsep.join(part for part in (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")) if part)
    quiet = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "PYTHONPATH": search}
    command = [sys.executable, "-m", "laser.models.convert", str(source), str(folder)]
    run = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = run.stderr.strip().splitlines()
        last = lines[-1].removeprefix("ERROR: ") if lines else ""
        if run.returncode < 0:
            last = f"the process was killed by signal {-run.returncode}; most likely there was too little memory"
        raise UserError(f"{source.name}: cannot be converted to safetensors: {last}")


def gguf_to_safetensors(source: Path, folder: Path) -> None:
    """De-quantise a GGUF file to fp32 and write model.safetensors, config.json and the tokenizer into `folder`.

    Tied weights are written once. The written config has no quantisation, so that plain `from_pretrained` reads it.
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def main(arguments: list[str] | None = None) -> int:
    """Run one conversion and return the exit status. On failure the last line on stderr is the reason."""
    parser = argparse.ArgumentParser(prog="python -m laser.models.convert", description=__doc__)
    parser.add_argument("source", type=Path, help="the GGUF file")
    parser.add_argument("folder", type=Path, help="an existing folder for the checkpoint")
    given = parser.parse_args(arguments)
    try:
        gguf_to_safetensors(given.source, given.folder)
    except UserError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"ERROR: {type(error).__name__}: {_first_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
