"""Atomic files in trusted formats (JSON, Parquet, safetensors, text), each with the spec that it was made from."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.errors import UserError

if TYPE_CHECKING:
    import pandas
    import torch

SPEC_KEY = b"laser_spec"
before_moving: list[Callable[[], None]] = []
"""Functions that `atomic` calls before it moves a file into place. If one raises, the file is not written."""


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only if the block succeeds.

    A reader therefore sees the old file or the complete new one, and two writers of equal content do no harm.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        for check in before_moving:
            check()
        temporary.replace(path)
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise UserError(
                f"{path}: cannot be written: {error.strerror}. Free space or permissions on that disk, then run again."
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


DISK_ERRORS = {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT}


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spare spaces: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, length: int = 64) -> str:
    """Return the first `length` hex digits of the sha256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def sha256_file(path: Path | str) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file; a damaged one is a `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}). Delete it and run again.") from error


def write_parquet(path: Path | str, frame: pandas.DataFrame, spec: Mapping[str, Any]) -> None:
    """Write `frame` as Parquet (zstd), atomically, with `spec` as JSON in the file's metadata.

    The bytes depend only on the rows and the spec, so that equal runs give equal files.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({SPEC_KEY: canonical_json(spec).encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path | str, columns: list[str] | None = None) -> pandas.DataFrame:
    """Read a Parquet file as a data frame, or only some of its columns.

    Raises:
        UserError: the file is damaged, or a column that is asked for is missing or there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        known = pq.read_schema(path).names if columns else []
        for name in columns or ():
            if known.count(name) != 1:
                has = f"has the column '{name}' twice" if name in known else f"lacks the column '{name}'"
                raise UserError(f"{path}: {has}. Delete it and run again.")
        return pq.read_table(path, columns=columns, partitioning=None).to_pandas()
    except (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError, pa.ArrowException) as error:
        # Damaged bytes can fail in any layer of the reader.
        raise UserError(f"{path}: cannot be read as Parquet ({str(error)[:300]}). Delete it and run again.") from error


def read_spec(path: Path | str) -> dict[str, Any]:
    """Return the spec in a Parquet file's metadata; a file without one is a `UserError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        spec = json.loads(metadata.get(SPEC_KEY, b"null"))
    except (OSError, ValueError, LookupError, TypeError, MemoryError, RecursionError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({str(error)[:300]}). Delete it and run again.") from error
    if not isinstance(spec, dict):
        raise UserError(f"{path}: carries no spec, so it was not written by this workflow. Delete it and run again.")
    return spec


def write_tensors(
    path: Path | str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, atomically; `metadata` goes into the header."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            save_file(whole, temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:
            # safetensors reports a full disk by its own class of error, with the system's error number in the text.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file; a damaged one is a `UserError` that names it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}). Delete it and run again.") from error
