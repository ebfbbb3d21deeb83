"""Readers of data files: tables in CSV, JSON and Parquet, and the publishers' own formats of a whole task."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


class SourceError(Exception):
    """The reason why a source cannot be used. The next one is tried; if none is left, the user's message lists them."""


class Row(dict[str, Any]):
    """A row of a source that knows its place, for messages: the file, and the row's number in it, counted from 1."""

    __slots__ = ("where",)

    def __init__(self, values: dict[str, Any], where: str) -> None:
        super().__init__(values)
        self.where = where


def read_rows(path: Path, kind: str, columns: Sequence[str]) -> Rows:
    """Read a file that holds one split as rows.

    Args:
        path: the file.
        kind: a key of `SPLIT_FORMATS`.
        columns: the top-level fields to keep; empty for all.

    Raises:
        SourceError: the file is not of that format, or lacks a field.
    """
    return _checked(path, kind, lambda: SPLIT_FORMATS[kind](path, columns))


def read_whole(path: Path, kind: str) -> dict[str, Rows]:
    """Read a file that holds a whole task as split name to rows.

    Args:
        path: the file.
        kind: a key of `WHOLE_FORMATS`.

    Raises:
        SourceError: the file is not of that format.
    """
    return _checked(path, kind, lambda: WHOLE_FORMATS[kind](path))


def _checked(path: Path, kind: str, read: Callable[[], Any]) -> Any:
    import pyarrow

    try:
        return read()
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        pyarrow.ArrowException,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"{path} cannot be read as {kind} ({type(error).__name__}: {reason})") from error


def header(path: Path, kind: str) -> list[str]:
    """Return a file's column names, reading only its beginning; for JSON files, the keys of the first objects.

    Args:
        path: the file.
        kind: a key of `SPLIT_FORMATS`.

    Raises:
        SourceError: the file is not of that format, or holds no row.
    """
    return _checked(path, kind, lambda: HEADERS[kind](path))


def _parquet(path: Path, columns: Sequence[str]) -> Rows:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    _has_all(path, file.schema_arrow.names, columns)
    rows = file.read(columns=list(columns) or None).to_pylist()
    return [Row(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]


def _parquet_header(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def _jsonl(path: Path, columns: Sequence[str]) -> Rows:
    return [_projected(path, number, row, columns) for number, row in enumerate(_objects(path), 1)]


def _objects(path: Path, kind: str = "jsonl") -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as handle:
        for line, text in enumerate(handle, 1):
            if text.strip():
                try:
                    yield json.loads(text)
                except ValueError as error:
                    raise SourceError(f"{path}, line {line}: cannot be read as {kind} ({error})") from error


def _json(path: Path, columns: Sequence[str]) -> Rows:
    return [_projected(path, number, row, columns) for number, row in enumerate(_items(path), 1)]


def _items(path: Path) -> Iterator[Any]:
    """Yield the objects of a .json file: of its array, or one per line."""
    with path.open(encoding="utf-8-sig") as handle:
        start = handle.read(4096).lstrip()[:1]
    if start != "{":
        return array_items(path)
    objects = list(_objects(path, "json"))
    if len(objects) < 2:
        raise ValueError("it is one object, not an array of objects")
    return iter(objects)


FIRST_OBJECTS = 100
"""Number of objects of a JSON file whose keys are taken as its columns: an object without a value may lack the key."""


def _first_keys(path: Path, items: Iterator[Any]) -> list[str]:
    keys: dict[str, None] = {}
    for number, item in enumerate(itertools.islice(items, FIRST_OBJECTS), 1):
        keys |= dict.fromkeys(_projected(path, number, item, ()))
    if not keys:
        raise SourceError(f"{path} holds no rows")
    return list(keys)


DELIMITERS = {"csv": ",;\t", "tsv": "\t"}
"""Format to the characters that may separate cells; the one that is most common in the header is used."""


def _delimited(path: Path, kind: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return a table's header, and an iterator over (line, cells) of its rows; empty lines are skipped.

    Raises:
        SourceError: the text is neither UTF-8 nor UTF-16, a quote is not closed, or column names are not distinct.
    """
    text = _decoded(path)
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS[kind], key=first.count)
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)

    def lines() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(
                f"{path}, line {line}: cannot be read as {kind} ({error}). A cell that holds quotes is quoted, with "
                f'each quote doubled: "say ""yes"""'
            ) from error

    rows = lines()
    names = [name.strip() for name in next(rows, (1, []))[1]]
    if not names:
        raise SourceError(f"{path} is empty: its first line must name the columns")
    for name in names:
        if name and names.count(name) > 1:
            raise SourceError(f"{path}: its first line names the column '{name[:80]}' twice")
    return names, rows


def _decoded(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one."""
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SourceError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}). Save the file as UTF-8, for example "
            f"with `iconv -f WINDOWS-1252 -t UTF-8`"
        ) from error


def _table(kind: str) -> Callable[[Path, Sequence[str]], Rows]:
    def read(path: Path, columns: Sequence[str]) -> Rows:
        names, lines = _delimited(path, kind)
        _has_all(path, names, columns)
        rows: Rows = []
        for number, (line, cells) in enumerate(lines, 1):
            if len(cells) != len(names):
                raise SourceError(
                    f"{path}, row {number} (line {line}): has {len(cells)} cells, and the first line names "
                    f"{len(names)} columns. Quote cells that hold the separator or a line break"
                )
            values = {name: cell for name, cell in zip(names, cells, strict=True) if name}
            kept = {name: values[name] for name in columns} if columns else values
            rows.append(Row(kept, f"{path}, row {number} (line {line})"))
        return rows

    return read


def _table_header(kind: str) -> Callable[[Path], list[str]]:
    return lambda path: [name for name in _delimited(path, kind)[0] if name]


def _projected(path: Path, number: int, row: Any, columns: Sequence[str]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise SourceError(f"{path}: row {number} is a {type(row).__name__}, not an object")
    _has_all(path, row, columns)
    return Row({name: row[name] for name in columns} if columns else row, f"{path}, row {number}")


def _has_all(path: Path, present: Any, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in present:
            raise SourceError(f"{path}: lacks the field '{name}'; it has: {', '.join(sorted(present))}")


def array_items(path: Path, chunk: int = 1 << 20) -> Iterator[Any]:
    """Yield the items of a file that is one JSON array, without reading all of it into memory.

    Raises:
        ValueError: the file is not a JSON array, or ends within it.
    """
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as handle:
        buffer, ended = "", False
        while not buffer and not ended:
            more = handle.read(chunk)
            buffer, ended = more.lstrip(), not more
        if not buffer.startswith("["):
            raise ValueError("it does not begin with [")
        at = 1
        while True:
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                at += 1
            if at < len(buffer) and buffer[at] == "]":
                return
            try:
                # A number at the very end of the buffer may continue in the next chunk.
                item, end = decoder.raw_decode(buffer, at)
                if end == len(buffer) and not ended:
                    raise ValueError("it may go on")
            except ValueError:
                if ended:
                    raise
                more = handle.read(chunk)
                ended = not more
                buffer, at = buffer[at:] + more, 0
                continue
            yield item
            at = end


def _truthfulqa(path: Path) -> dict[str, Rows]:
    """Read mc_task.json: choices are the keys and labels the values of its targets, in file order."""
    rows = []
    for item in json.loads(path.read_text(encoding="utf-8")):
        row: dict[str, Any] = {"question": item["question"]}
        for name in ("mc1_targets", "mc2_targets"):
            row[name] = {"choices": list(item[name].keys()), "labels": list(item[name].values())}
        rows.append(row)
    return {"validation": rows}


def _bbh(path: Path) -> dict[str, Rows]:
    """Read a task of the BIG-Bench-Hard repository."""
    return {"train": list(json.loads(path.read_text(encoding="utf-8"))["examples"])}


def _bigbench(path: Path) -> dict[str, Rows]:
    """Read a BIG-bench task.json and lay it out as the package itself does for its data sets.

    Exact duplicates are dropped, the rest is shuffled with seed 42, and the last 20 % (at least 16) are validation.
    """
    task = json.loads(path.read_text(encoding="utf-8"))
    opening = task.get("task_prefix", "") + task.get("example_input_prefix", "\nQ: ")
    closing = task.get("example_output_prefix", "\nA: ")
    distinct: dict[str, dict[str, Any]] = {}
    for example in task["examples"]:
        distinct.setdefault(json.dumps(example, sort_keys=True), example)
    examples = list(distinct.values())
    random.Random(42).shuffle(examples)
    rows = [
        {"inputs": (opening + example["input"] + closing).strip(), "targets": _targets(example)} for example in examples
    ]
    held_out = max(int(0.2 * len(rows)), 16)
    parts = {"train": rows[:-held_out], "validation": rows[-held_out:]}
    return {name: [row | {"idx": index} for index, row in enumerate(part)] for name, part in parts.items()}


_CLAIM = re.compile(r"following claim was made: (.*)\nQ: Was this claim true or false\?", re.DOTALL)


def _bigbench_fever(path: Path) -> dict[str, Rows]:
    """Read FEVER's paper_test as a BIG-bench task: the claim is embedded in a sentence and a question."""
    rows = []
    for example in json.loads(path.read_text(encoding="utf-8"))["examples"]:
        claim = _CLAIM.search(example["input"])
        if claim is None:
            raise ValueError(f"no claim in {example['input'][:80]!r}")
        rows.append({"id": example["id"], "claim": claim[1], "label": int(example["target_scores"]["true"])})
    return {"paper_test": rows}


def _bigbench_truthfulqa(path: Path) -> dict[str, Rows]:
    """Read TruthfulQA's multiple choices as a BIG-bench task: every choice has its label."""
    rows = []
    for example in json.loads(path.read_text(encoding="utf-8"))["examples"]:
        choices = example["target_scores"]
        labels = {"choices": list(choices), "labels": [int(label) for label in choices.values()]}
        rows.append({"question": example["input"], "mc2_targets": labels})
    return {"validation": rows}


def _targets(example: dict[str, Any]) -> list[str]:
    if "target" in example:
        target = example["target"]
        return [target] if isinstance(target, str) else list(target)
    scores = example["target_scores"]
    return [max(scores, key=lambda name: scores[name])]


SPLIT_FORMATS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {
    "csv": _table("csv"),
    "json": _json,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "tsv": _table("tsv"),
}
"""Formats of a file that holds one split."""

HEADERS: dict[str, Callable[[Path], list[str]]] = {
    "csv": _table_header("csv"),
    "json": lambda path: _first_keys(path, _items(path)),
    "jsonl": lambda path: _first_keys(path, _objects(path)),
    "parquet": _parquet_header,
    "tsv": _table_header("tsv"),
}
"""Format to the function that reads the column names."""

WHOLE_FORMATS: dict[str, Callable[[Path], dict[str, Rows]]] = {
    "bbh": _bbh,
    "bigbench": _bigbench,
    "bigbench-fever": _bigbench_fever,
    "bigbench-truthfulqa": _bigbench_truthfulqa,
    "truthfulqa": _truthfulqa,
}
"""Formats of a file that holds all splits of a task."""
