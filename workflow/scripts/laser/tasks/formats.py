"""Reading data files: the hub's Parquet copies, JSON in the hub's field names, and the publishers' own formats."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


class SourceError(Exception):
    """The reason why a source cannot be used. The next one is tried; if none is left, the user's message lists them."""


def read_rows(path: Path, kind: str, columns: Sequence[str]) -> Rows:
    """Read a file that holds one split as rows.

    Args:
        path: the file.
        kind: a key of `SPLIT_FORMATS`.
        columns: the top-level fields that are kept; empty for all.

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


def _parquet(path: Path, columns: Sequence[str]) -> Rows:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    _has_all(path, file.schema_arrow.names, columns)
    return file.read(columns=list(columns) or None).to_pylist()


def _jsonl(path: Path, columns: Sequence[str]) -> Rows:
    rows = []
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle):
            if line.strip():
                rows.append(_projected(path, number, json.loads(line), columns))
    return rows


def _json(path: Path, columns: Sequence[str]) -> Rows:
    return [_projected(path, number, row, columns) for number, row in enumerate(array_items(path))]


def _projected(path: Path, number: int, row: Any, columns: Sequence[str]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise SourceError(f"{path}: row {number} is a {type(row).__name__}, not an object")
    _has_all(path, row, columns)
    return {name: row[name] for name in columns} if columns else row


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
    with path.open(encoding="utf-8") as handle:
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
                # A number at the very end of the buffer may go on in the next chunk.
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
    """Read FEVER's paper_test as a BIG-bench task: the claim stands in a sentence and a question."""
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


SPLIT_FORMATS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {"json": _json, "jsonl": _jsonl, "parquet": _parquet}
"""Formats of a file that holds one split."""

WHOLE_FORMATS: dict[str, Callable[[Path], dict[str, Rows]]] = {
    "bbh": _bbh,
    "bigbench": _bigbench,
    "bigbench-fever": _bigbench_fever,
    "bigbench-truthfulqa": _bigbench_truthfulqa,
    "truthfulqa": _truthfulqa,
}
"""Formats of a file that holds all splits of a task."""
