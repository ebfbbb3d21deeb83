"""Bias in Bios, profession: which of eight professions does the person have?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets import _bios
from laser.tasks.definitions import PROFESSIONS
from laser.tasks.example import Example

SPLITS, COLUMNS = _bios.SPLITS, ("hard_text", "profession")
OPTIONS: tuple[str, ...] = ()

# The ids that the hub's copy gives to the professions that are kept.
ANSWERS = {
    1: "architect",
    5: "composer",
    11: "journalist",
    12: "model",
    14: "painter",
    20: "poet",
    21: "professor",
    26: "teacher",
}


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per biography of the eight professions, in file order; the others are dropped."""
    question = " What is the profession of the person in this text? The profession of this person is"
    return _bios.build(read, "profession", ANSWERS, PROFESSIONS, question, "other profession")
