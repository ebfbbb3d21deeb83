"""Bias in Bios, profession: which of eight professions does the person have? Biographies of others are dropped."""

from functools import partial

from laser.tasks.datasets import _bios
from laser.tasks.definitions import PROFESSIONS

SPLITS, COLUMNS, OPTIONS = _bios.SPLITS, ("hard_text", "profession"), _bios.OPTIONS

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

build = partial(
    _bios.build,
    label="profession",
    answers=ANSWERS,
    choices=PROFESSIONS,
    question=" What is the profession of the person in this text? The profession of this person is",
    dropped_as="other profession",
)
