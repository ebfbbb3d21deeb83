"""HotpotQA without its context: questions with short answers, from train and validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.errors import UserError
from laser.tasks.datasets._rows import field
from laser.tasks.example import Example
from laser.tasks.tokenizer_source import load_tokenizer

SPLITS = ("train", "validation")
COLUMNS = ("question", "answer")
OPTIONS = ("answer_tokenizer",)
LONGEST_ANSWER = 15
"""In ids of the Llama tokenizer, the beginning-of-sequence token included (released code)."""


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build as many rows of train as validation has, then all of validation, each with a short answer.

    The cap counts train rows before the filter. Answers are stripped and kept if a Llama tokenizer gives them at
    most `LONGEST_ANSWER` ids.

    Args:
        options: `answer_tokenizer`: {kind: hub, repo, revision} or {kind: local, path}.
        read: gives rows with `question` and `answer`.

    Raises:
        UserError: no tokenizer is named, or it cannot be loaded.
    """
    if "answer_tokenizer" not in options:
        raise UserError(
            "options.answer_tokenizer of builder 'hotpotqa' is missing: the length filter needs a Llama tokenizer. "
            "Give {kind: hub, repo: …, revision: …} or {kind: local, path: …}."
        )
    tokenizer = load_tokenizer(options["answer_tokenizer"], "options.answer_tokenizer of builder 'hotpotqa'")
    validation, train = read("validation"), read("train")
    dropped = {"train row past the cap": max(0, len(train) - len(validation)), "long answer": 0}
    examples = []
    for split, rows in (("train", train[: len(validation)]), ("validation", validation)):
        for number, row in enumerate(rows):
            where = f"HotpotQA, {split} row {number}"
            question, answer = field(row, "question", where).strip(), field(row, "answer", where).strip()
            if len(tokenizer(answer)["input_ids"]) > LONGEST_ANSWER:
                dropped["long answer"] += 1
                continue
            asked = question if question.endswith(("?", ".")) else f"{question}?"
            name = f"{split}-{number}"
            examples.append(Example(name, name, question, f"{asked} The answer is", answer))
    return examples, dropped
