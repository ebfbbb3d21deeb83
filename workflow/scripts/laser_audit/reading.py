"""Reading a study's files with distrust: whatever they hold, the outcome is a right value or `Unreadable`."""

from __future__ import annotations

import csv
import io
import json
import math
import stat
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd

from laser.io.files import SPEC_KEY, sha256_file
from laser_audit.findings import Check, Unreadable

NOT_ASKED = "the study does not ask for it"
LARGEST_TEXT = 200_000_000
"""Bytes of the largest JSON or CSV file that is read; a study's own are far smaller."""


class Study:
    """The folder of a study, read once and remembered. Paths are relative to it, with forward slashes.

    Attributes:
        folder: the folder.
        memory: what `remembered` functions have returned.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory: dict[tuple[Any, ...], Any] = {}
        self._json: dict[str, Any] = {}
        self._hashes: dict[str, str] = {}

    def place(self, path: str) -> Path:
        """Return where a file lies; one that is no plain file inside the folder is refused."""
        parts = path.split("/")
        if not path or "\0" in path or "\\" in path or path.startswith("/") or ".." in parts or "" in parts:
            raise Unreadable(path, "is no path inside the study's folder")
        place = self.folder
        try:
            for part in parts:
                place = place / part
                if stat.S_ISLNK(place.lstat().st_mode):
                    raise Unreadable(path, "is, or lies behind, a symbolic link")
            if not stat.S_ISREG(place.stat().st_mode):
                raise Unreadable(path, "is no plain file")
        except FileNotFoundError as error:
            raise Unreadable(path, "is missing") from error
        except (OSError, ValueError) as error:
            raise Unreadable(path, f"cannot be opened ({error})") from error
        return place

    @cached_property
    def files(self) -> dict[str, bool]:
        """Every path below the folder that is no directory, and whether it is a plain file (not a link or a device)."""
        found = {}
        pending = [self.folder]
        while pending:
            for place in pending.pop().iterdir():
                kind = place.lstat().st_mode
                if stat.S_ISDIR(kind):
                    pending.append(place)
                else:
                    found[place.relative_to(self.folder).as_posix()] = stat.S_ISREG(kind)
        return dict(sorted(found.items()))

    def matching(self, start: str, end: str) -> list[str]:
        """Return the paths that start and end so, sorted."""
        return [path for path in self.files if path.startswith(start) and path.endswith(end)]

    def has(self, path: str) -> bool:
        """Whether there is a plain file."""
        return self.files.get(path, False)

    def bytes_of(self, path: str) -> int:
        """Return a file's length."""
        return self.place(path).stat().st_size

    def sha256(self, path: str) -> str:
        """Return the sha256 of a file, computed once."""
        if path not in self._hashes:
            self._hashes[path] = sha256_file(self.place(path))
        return self._hashes[path]

    def text(self, path: str) -> str:
        """Return a text file."""
        place = self.place(path)
        if place.stat().st_size > LARGEST_TEXT:
            raise Unreadable(path, f"has {place.stat().st_size:,} bytes, more than any text of a study")
        try:
            return place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(path, f"cannot be read as UTF-8 text ({error})") from error

    def json(self, path: str) -> dict[str, Any]:
        """Return a JSON file that holds an object; a key twice is refused, as readers would differ on it."""
        if path not in self._json:
            self._json[path] = parse_object(path, self.text(path))
        return self._json[path]

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

    def spec(self, path: str) -> dict[str, Any]:
        """Return the spec in the metadata of a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_schema(self.place(path)).metadata or {}
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(path, f"cannot be read as Parquet ({error})") from error
        if SPEC_KEY not in metadata:
            raise Unreadable(path, "carries no spec in its metadata")
        try:
            text = metadata[SPEC_KEY].decode()
        except UnicodeDecodeError as error:
            raise Unreadable(path, "carries a spec that is no text") from error
        return parse_object(path, text)

    def frame(self, path: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return columns of a Parquet file (all without `columns`), not remembered."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = self.place(path)
        try:
            known = pq.read_schema(place).names
            missing = [name for name in columns or () if name not in known]
            if missing:
                raise Unreadable(path, f"lacks the column '{missing[0]}'")
            if len(set(known)) != len(known):
                raise Unreadable(path, "has a column twice")
            wanted = list(columns) if columns is not None else None
            return pq.read_table(place, columns=wanted, partitioning=None).to_pandas(ignore_metadata=True)
        except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
            raise Unreadable(path, f"cannot be read as Parquet ({error})") from error

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved study, inputs/study.json."""
        return self.json("inputs/study.json")

    @property
    def models(self) -> list[str]:
        """Names of the study's models, in its order."""
        return [text_of(one["name"]) for one in self.settings["models"]]

    @property
    def datasets(self) -> list[str]:
        """Names of the study's datasets, in its order."""
        return [text_of(one["name"]) for one in self.settings["datasets"]]

    @property
    def protocols(self) -> list[str]:
        """The study's protocols, in its order."""
        return [text_of(one) for one in self.settings["protocols"]]

    def cells(self) -> list[tuple[str, str]]:
        """Every (model, dataset), models first."""
        return [(model, dataset) for model in self.models for dataset in self.datasets]

    def cells_of(self, run: str) -> list[tuple[str, str]]:
        """The cells of a run beside the sweep, in the study's order; none where the study does not ask for it."""
        return [(str(model), str(dataset)) for model, dataset in self.settings.get(run, {}).get("cells", [])]

    @property
    def sampling(self) -> tuple[int, int]:
        """The study's seed, and its number of resamples."""
        return int(self.settings["seed"]), int(self.settings["resamples"])

    def wants(self, artefact: str) -> bool:
        """Whether the study asks for an artefact."""
        return artefact in self.settings["artefacts"]


Given = ParamSpec("Given")
Found = TypeVar("Found")


def remembered(
    function: Callable[Concatenate[Study, Given], Found],
) -> Callable[Concatenate[Study, Given], Found]:
    """Compute a function of a study and further plain values once for each study."""

    @wraps(function)
    def once(study: Study, /, *values: Given.args, **named: Given.kwargs) -> Found:
        key = (function, *values, *sorted(named.items()))
        if key not in study.memory:
            study.memory[key] = function(study, *values, **named)
        found: Found = study.memory[key]
        return found

    return once


Examine = Callable[[Check, Study], None]


def asked(artefact: str) -> Callable[[Examine], Examine]:
    """Let a check look at nothing, and say so, where the study does not ask for an artefact."""

    def only_then(examine: Examine) -> Examine:
        @wraps(examine)
        def check_it(check: Check, study: Study) -> None:
            if study.wants(artefact):
                examine(check, study)
            else:
                check.skipped = NOT_ASKED

        return check_it

    return only_then


def parse_object(path: str, text: str) -> dict[str, Any]:
    """Return a JSON object; NaN, infinities, keys twice and everything else are `Unreadable`."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise Unreadable(path, f"holds a {type(value).__name__} where an object belongs")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def text_of(value: Any) -> str:
    """Return a text; anything else is a TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text belongs")
    return value


def number_of(value: Any) -> float:
    """Return a number as float; a bool, text or anything else is a TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} stands where a number belongs")
    return float(value)


def close(one: float, other: float, relative: float, absolute: float = 0.0) -> bool:
    """Whether two numbers agree to `relative` or `absolute` (NaN agrees with NaN, an infinity with itself)."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=relative, abs_tol=max(absolute, relative * 1e-3))
