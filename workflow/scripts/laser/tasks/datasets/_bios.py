"""Bias in Bios: what gender and profession share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets._rows import field, with_stop
from laser.tasks.example import Example

SPLITS = ("dev",)
OPTIONS: tuple[str, ...] = ()


def build(
    options: Mapping[str, Any],
    read: Callable[[str], list[dict[str, Any]]],
    *,
    label: str,
    answers: Mapping[int, str],
    choices: tuple[str, ...],
    question: str,
    dropped_as: str,
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per biography whose label is known.

    The prompt has the stripped text, with a full stop unless it ends in one or in a question mark; `Example.text` is
    the text as it is, of which masked models see the last tokens.

    Args:
        options: of the dataset's entry; it has none.
        read: gives rows with `hard_text` (str) and the label (int).
        label: name of the label's field.
        answers: label to answer; rows with another label are dropped.
        choices: all answers, in the released order.
        question: what follows the text in the prompt, with its leading space.
        dropped_as: the name under which dropped rows are counted.
    """
    examples, dropped = [], {dropped_as: 0}
    for split in SPLITS:
        for number, row in enumerate(read(split)):
            where = f"Bias in Bios, {split} row {number}"
            text, value = field(row, "hard_text", where), field(row, label, where, int)
            if value not in answers:
                dropped[dropped_as] += 1
                continue
            name = f"{split}-{number}"
            prompt = with_stop(f"Consider the following text: {text.strip()}") + question
            examples.append(Example(name, name, text, prompt, answers[value], choices))
    return examples, dropped
