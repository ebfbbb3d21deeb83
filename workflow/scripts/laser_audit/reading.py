"""A strict reader for each format: whatever a file holds, the result is a valid value or `Unreadable`."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from laser_audit.findings import Unreadable

SPEC_KEY = b"laser_spec"
PARQUET_KEYS = {SPEC_KEY, b"ARROW:schema"}
"""Keys of a Parquet file's metadata; a study's files have no others."""

FIELD_KEYS = {b"PARQUET:field_id"}
"""Keys that the Parquet reader itself adds to a column's metadata."""

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


def remembered(
    function: Callable[Concatenate[Study, Given], Returned],
) -> Callable[Concatenate[Study, Given], Returned]:
    """Make a function of a study and plain values compute each result only once per study."""

    @wraps(function)
    def compute_once(study: Study, /, *values: Given.args, **named: Given.kwargs) -> Returned:
        key = (function, *values, *sorted(named.items()))
        if key not in study.memory:
            study.memory[key] = function(study, *values, **named)
        result: Returned = study.memory[key]
        return result

    return compute_once


class Study:
    """The folder of a study; files are read once and remembered. Paths are relative to it, with forward slashes.

    Attributes:
        folder: the folder.
        checkout: the repository that the audit runs in, if any.
        memory: results of the `remembered` functions.
    """

    def __init__(self, folder: Path, checkout: Path | None = None) -> None:
        self.folder, self.checkout = folder, checkout
        self.memory: dict[tuple[Any, ...], Any] = {}

    def locate(self, path: str) -> Path:
        """Return where a file is. Raises Unreadable unless it is a plain file inside the folder."""
        location = self.folder / path
        try:
            inside = not Path(path).is_absolute() and location.resolve() == self.folder.resolve() / path
            if inside and location.is_file():
                return location
        except (OSError, ValueError, RuntimeError) as error:
            raise Unreadable(path, f"cannot be opened ({error})") from error
        raise Unreadable(path, "is missing, or no plain file inside the study's folder")

    @cached_property
    def files(self) -> dict[str, bool]:
        """Every path below the folder that is not a directory; True for plain files (no links, no devices)."""
        found = (path for path in self.folder.rglob("*") if path.is_symlink() or not path.is_dir())
        plain = {path.relative_to(self.folder).as_posix(): path.is_file() and not path.is_symlink() for path in found}
        return dict(sorted(plain.items()))

    def matching(self, start: str, end: str) -> list[str]:
        """Return the paths with this beginning and this end, sorted."""
        return [path for path in self.files if path.startswith(start) and path.endswith(end)]

    def has(self, path: str) -> bool:
        """Return True if the path is a plain file."""
        return self.files.get(path, False)

    def bytes_of(self, path: str) -> int:
        """Return a file's size in bytes."""
        return self.locate(path).stat().st_size

    @remembered
    def sha256(self, path: str) -> str:
        """Return the sha256 of a file."""
        with self.locate(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def text(self, path: str) -> str:
        """Return the content of a text file."""
        try:
            return self.locate(path).read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(path, f"cannot be read as UTF-8 text ({error})") from error

    @remembered
    def json(self, path: str) -> dict[str, Any]:
        """Return the object in a JSON file."""
        return parse_object(path, self.text(path))

    def table(self, path: str) -> tuple[list[str], list[dict[str, str]]]:
        """Return the columns and rows of a CSV file, everything as text."""
        try:
            lines = list(csv.reader(io.StringIO(self.text(path), newline=""), strict=True))
        except csv.Error as error:
            raise Unreadable(path, f"cannot be read as CSV ({error})") from error
        if not lines or len(set(lines[0])) != len(lines[0]):
            raise Unreadable(path, "has no header, or a column twice")
        for number, line in enumerate(lines[1:], start=2):
            if len(line) != len(lines[0]):
                raise Unreadable(path, f"line {number} has {len(line)} cells, the header {len(lines[0])}")
        return lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]

    @remembered
    def spec(self, path: str) -> dict[str, Any]:
        """Return the spec in the metadata of a Parquet file; the file must have no other metadata."""
        metadata = self._parquet(path, pq.read_metadata).metadata or {}
        fields = [field.name for field in self._parquet(path, pq.read_schema) if set(field.metadata or {}) - FIELD_KEYS]
        if SPEC_KEY not in metadata:
            raise Unreadable(path, "carries no spec in its metadata")
        if fields or set(metadata) - PARQUET_KEYS:
            raise Unreadable(path, f"has further metadata: {sorted(set(metadata) - PARQUET_KEYS)}, columns {fields}")
        try:
            return parse_object(path, metadata[SPEC_KEY].decode())
        except UnicodeDecodeError as error:
            raise Unreadable(path, "carries a spec that is not text") from error

    def columns(self, path: str) -> list[str]:
        """Return the names of the columns of a Parquet file."""
        return list(self._parquet(path, pq.read_schema).names)

    def _parquet(self, path: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(self.locate(path))
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(path, f"cannot be read as Parquet ({error})") from error

    def frame(self, path: str, columns: Sequence[str]) -> pd.DataFrame:
        """Return columns of a Parquet file, which is read anew at each call."""
        location, known = self.locate(path), self.columns(path)
        try:
            missing = [name for name in columns if name not in known]
            if missing:
                raise Unreadable(path, f"lacks the column '{missing[0]}'")
            if len(set(known)) != len(known):
                raise Unreadable(path, "has a column twice")
            table = pq.read_table(location, columns=list(columns), partitioning=None)
            return table.to_pandas(ignore_metadata=True)
        except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
            raise Unreadable(path, f"cannot be read as Parquet ({error})") from error

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved study, inputs/study.json."""
        return self.json("inputs/study.json")

    @property
    def models(self) -> list[str]:
        """Names of the study's models, in its order."""
        return [text_of(entry["name"]) for entry in self.settings["models"]]

    @property
    def datasets(self) -> list[str]:
        """Names of the study's datasets, in its order."""
        return [text_of(entry["name"]) for entry in self.settings["datasets"]]

    @property
    def protocols(self) -> list[str]:
        """The study's protocols, in its order."""
        return [text_of(name) for name in self.settings["protocols"]]

    def cells(self) -> list[tuple[str, str]]:
        """Return every (model, dataset), models first."""
        return [(model, dataset) for model in self.models for dataset in self.datasets]

    @property
    def sampling(self) -> tuple[int, int]:
        """The study's seed and its number of resamples."""
        return int(self.settings["seed"]), int(self.settings["resamples"])

    def wants(self, artefact: str) -> bool:
        """Return True if the study asks for an artefact."""
        return artefact in self.settings["artefacts"]


def parse_object(path: str, text: str) -> dict[str, Any]:
    """Return a JSON object; raise `Unreadable` for any other value, NaN, infinities and repeated keys."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise Unreadable(path, f"holds a {type(value).__name__} instead of an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("it has a key twice")
    return held


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def canonical_json(value: Any) -> str:
    """Return a value as JSON with sorted keys and no spare spaces: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, length: int = 64) -> str:
    """Return the first `length` hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def text_of(value: Any) -> str:
    """Return a text; raise TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def number_of(value: Any) -> float:
    """Return a number as float; raise TypeError for a bool, a text or anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def close(value: float, other: float, relative: float, absolute: float = 0.0) -> bool:
    """Return True if two numbers agree to `relative` or `absolute`; NaN agrees with NaN, an infinity with itself."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(value) and math.isnan(other)
    return value == other or math.isclose(value, other, rel_tol=relative, abs_tol=max(absolute, relative * 1e-3))
