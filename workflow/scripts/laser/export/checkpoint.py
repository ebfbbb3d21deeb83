"""Edited checkpoints, with the chosen matrix replaced (`dense`) or stored as its two factors (`factored`).

All other weights are the original's, byte for byte. The edit is computed as in the evaluation: from the matrix in the
study's dtype, rounded to that dtype, then stored in the checkpoint's dtype.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from laser.errors import UserError
from laser.export.factored import PREFIX, RECORD
from laser.io.files import read_json, read_tensors, sha256_file, write_json, write_tensors
from laser.models.adapter import MatrixLocation, find_weight, locate, read_weight, view_of
from laser.models.device import DTYPES
from laser.models.sources import SIDE_FILES
from laser.models.stored import INDEX, weight_files
from laser.reduction.edit import NEEDS_FACTORS, edited_weight, low_rank_factors
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention, kept_rank
from laser.reduction.svd import exact_svd

LATENCY = "latency.json"


def export(
    origin: Path,
    folder: Path,
    edit: Intervention,
    form: str,
    dtype: str,
    store: FactorStore,
    mapping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the edited checkpoint of `origin` into `folder`, which is replaced entirely.

    Args:
        origin: folder of the original checkpoint.
        folder: folder of the edited checkpoint.
        edit: the intervention, of kind svd or randomised.
        form: `dense` or `factored`.
        dtype: the study's dtype: fp32, fp16 or bf16.
        store: the store of the factors.
        mapping: where an unknown architecture stores its matrices.

    Returns:
        `parameter` (the weight's name), `shape`, `kept_rank`, `relative_difference` (relative Frobenius norm of the
        difference between stored and evaluated matrix; 0 if the checkpoint's dtype represents it exactly),
        `bytes_original`, `bytes` and `bytes_saved` (of the weight files on disk), and `files` (name to sha256).

    Raises:
        UserError: the matrix is packed but the form is `factored`, or the folder holds something else.
    """
    _replaceable(folder)
    location = locate(read_json(origin / "config.json"), edit.layer, edit.matrix, mapping)
    if form == "factored" and location.part is not None:
        raise UserError(
            f"the matrix '{edit.matrix}' is packed with others in '{location.parameter}', so that it cannot be stored "
            "as factors. Export the form 'dense'."
        )
    path, name = find_weight(origin, location)
    stored = read_weight(path, name)
    # The view keeps the strides of a loaded model, because the last digits depend on them.
    weight = view_of(stored, location).to(DTYPES[dtype]).float()
    factors = store.get(weight) if edit.kind in NEEDS_FACTORS else None
    evaluated = edited_weight(weight, edit, factors).to(DTYPES[dtype])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".part", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        part = Path(scratch) / "model"
        part.mkdir()
        for file in SIDE_FILES:
            if (file != INDEX or form == "dense") and (origin / file).is_file():
                shutil.copyfile(origin / file, part / file)
        # transformers looks for weight files by their names, and must not find those of a factored checkpoint.
        target = {file: part / (f"{PREFIX}{file}" if form == "factored" else file) for file in weight_files(origin)}
        for file in target.keys() - {path.name}:
            shutil.copyfile(origin / file, target[file])
        if form == "dense":
            difference = _dense(target[path.name], path, name, location, evaluated)
        else:
            # An SVD edit uses the original's factors at every rho. The result of a randomised step has to be factored.
            whole = exact_svd(evaluated.float()) if factors is None else factors
            pair = low_rank_factors(whole, kept_rank(edit.rho, weight.shape))
            difference = _factored(target[path.name], path, name, location, evaluated, pair)
        facts = _facts(origin, part, name, evaluated, edit, difference)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    return facts


def _replaceable(folder: Path) -> None:
    """Refuse to replace a folder that holds anything other than an export."""
    ours = {*SIDE_FILES, RECORD, "README.md", "export.json", LATENCY, ".snakemake_timestamp"}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() or (path.name not in ours and path.suffix != ".safetensors"):
            raise UserError(
                f"{folder}: would be replaced, but holds '{path.name}', which is no part of an export. "
                "Give a separate folder."
            )


def _dense(target: Path, path: Path, name: str, location: MatrixLocation, evaluated: torch.Tensor) -> float:
    """Write the matrix's weight file with the matrix replaced, and return the relative rounding difference."""
    tensors = read_tensors(path)
    changed = tensors[name].clone()
    view_of(changed, location).copy_(evaluated)
    write_tensors(target, tensors | {name: changed}, metadata_of(path))
    return _difference(view_of(changed, location), evaluated)


def _factored(
    target: Path,
    path: Path,
    name: str,
    location: MatrixLocation,
    evaluated: torch.Tensor,
    pair: tuple[torch.Tensor, torch.Tensor],
) -> float:
    """Write the matrix's weight file with factors for it, and their record; return the rounding difference."""
    tensors = read_tensors(path)
    original = tensors.pop(name)
    left, right = (factor.to(original.dtype) for factor in pair)
    names = {"left": f"{name}.left", "right": f"{name}.right"}
    factors = {names["left"]: left, names["right"]: right}
    write_tensors(target, tensors | factors, metadata_of(path))
    record = {"parameter": name, **names, "kept_rank": left.shape[1], "transposed": location.transposed}
    write_json(target.with_name(RECORD), record | {"shape": list(evaluated.shape)})
    return _difference(left.float() @ right.float(), evaluated)


def metadata_of(path: Path) -> dict[str, str]:
    """Return the metadata in a safetensors file's header."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        return dict(handle.metadata() or {})


def _difference(stored: torch.Tensor, evaluated: torch.Tensor) -> float:
    wanted = evaluated.double()
    norm = float(torch.linalg.norm(wanted))
    return float(torch.linalg.norm(stored.double() - wanted)) / norm if norm else 0.0


def _facts(
    origin: Path, part: Path, name: str, evaluated: torch.Tensor, edit: Intervention, difference: float
) -> dict[str, Any]:
    before = sum((origin / file).stat().st_size for file in weight_files(origin))
    after = sum(path.stat().st_size for path in part.glob("*.safetensors"))
    return {
        "parameter": name,
        "shape": list(evaluated.shape),
        "kept_rank": kept_rank(edit.rho, evaluated.shape),
        "relative_difference": difference,
        "bytes_original": before,
        "bytes": after,
        "bytes_saved": before - after,
        "files": {path.name: sha256_file(path) for path in sorted(part.iterdir())},
    }
