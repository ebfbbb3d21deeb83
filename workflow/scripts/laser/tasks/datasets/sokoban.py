"""Sokoban rooms of the evaluation side of a pool, with the expert's moves as the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets._rows import field
from laser.tasks.example import Example

SPLITS = ("episodes",)
COLUMNS = ("text", "hash", "side", "actions")
OPTIONS = ("pool",)


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build an example per room, in the order of the pool.

    Rows are those of the pool's episodes.parquet: `text` (the room), `hash` (shared by its turned and mirrored forms),
    `side` and `actions` (the expert's, LURD letters). Rooms of the training side are left out, and those that are
    solved before the first move.
    """
    examples, dropped = [], {"training side": 0, "solved from the start": 0}
    for number, row in enumerate(read("episodes")):
        where = f"episodes, row {number}"
        if field(row, "side", where) != "evaluation":
            dropped["training side"] += 1
        elif not field(row, "actions", where):
            dropped["solved from the start"] += 1
        else:
            name, text = field(row, "hash", where), field(row, "text", where)
            examples.append(Example(id=name, group=name, text=text, prompt=text, answer=row["actions"]))
    return examples, dropped
