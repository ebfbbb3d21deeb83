"""BIG-bench Hard web_of_lies: who tells the truth?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets._rows import field
from laser.tasks.definitions import DEFINITIONS
from laser.tasks.example import Example

SPLITS = ("train",)
COLUMNS = ("input", "target")
OPTIONS: tuple[str, ...] = ()


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per row, in file order; the prompt is the task's input, unchanged."""
    choices = DEFINITIONS["web_of_lies"].options
    examples = []
    for number, row in enumerate(read("train")):
        where = f"web_of_lies, row {number}"
        text, answer = field(row, "input", where), field(row, "target", where)
        examples.append(Example(f"train-{number}", f"train-{number}", text, text, answer, choices))
    return examples, {}
