"""BIG-bench and BIG-bench Hard tasks: what their builders share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets._rows import field
from laser.tasks.definitions import DEFINITIONS
from laser.tasks.example import Example

SPLITS = ("validation", "train")
"""Validation first, as in the released code: the first 20 % of the rows are then close to the task's own validation."""

COLUMNS = ("inputs", "targets")
OPTIONS: tuple[str, ...] = ()
SEVERAL = "more or less than one target"


def build(
    name: str, options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]], strip: bool = False
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per row with exactly one target, validation before train.

    Args:
        name: the builder.
        options: of the dataset's entry; it has none.
        read: gives rows with `inputs` (str) and `targets` (list of str).
        strip: strip prompt and answer (qa_wikidata); otherwise both stay as they are.
    """
    choices = DEFINITIONS[name].options
    examples, dropped = [], {SEVERAL: 0}
    for split in SPLITS:
        for number, row in enumerate(read(split)):
            where = f"{name}, {split} row {number}"
            text, targets = field(row, "inputs", where), field(row, "targets", where, list)
            if len(targets) != 1:
                dropped[SEVERAL] += 1
                continue
            identifier = f"{split}-{number}"
            prompt, answer = (text.strip(), targets[0].strip()) if strip else (text, targets[0])
            examples.append(Example(identifier, identifier, text, prompt, answer, choices))
    return examples, dropped
