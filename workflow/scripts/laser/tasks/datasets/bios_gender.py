"""Bias in Bios, gender: is the person in the biography male or female?"""

from functools import partial

from laser.tasks.datasets import _bios
from laser.tasks.definitions import DEFINITIONS

SPLITS, COLUMNS, OPTIONS = _bios.SPLITS, ("hard_text", "gender"), _bios.OPTIONS

build = partial(
    _bios.build,
    label="gender",
    answers={0: "male", 1: "female"},
    choices=DEFINITIONS["bios_gender"].options,
    question=" Is the person in this text a male or female? The gender of this person is",
    dropped_as="gender not known",
)
