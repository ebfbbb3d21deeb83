"""Bias in Bios, gender: is the person in the biography male or female?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets import _bios
from laser.tasks.definitions import DEFINITIONS
from laser.tasks.example import Example

SPLITS, COLUMNS = _bios.SPLITS, ("hard_text", "gender")
OPTIONS: tuple[str, ...] = ()
ANSWERS = {0: "male", 1: "female"}


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per biography, in file order; only labels other than 0 and 1 are dropped."""
    question = " Is the person in this text a male or female? The gender of this person is"
    return _bios.build(read, "gender", ANSWERS, DEFINITIONS["bios_gender"].options, question, "gender not known")
