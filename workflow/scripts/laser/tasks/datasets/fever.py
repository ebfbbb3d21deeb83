"""FEVER: is a claim true or false? Claims of paper_dev and paper_test with one label only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.errors import UserError
from laser.tasks.datasets._rows import field, prompt_fixes, with_stop
from laser.tasks.definitions import DEFINITIONS
from laser.tasks.example import Example

SPLITS = ("paper_dev", "paper_test")
COLUMNS = ("claim", "label")
OPTIONS = ("prompt_fix",)
LABELS = {0: "false", 1: "true", "REFUTES": "false", "SUPPORTS": "true"}
NOT_ENOUGH = "NOT ENOUGH INFO"


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per distinct claim, dev before test, in the order in which claims first appear.

    Labels are the hub's 0 and 1 or the publisher's words. Claims without enough information are dropped before the
    others are grouped by their exact text; within a split, claims with two labels are dropped.

    Raises:
        UserError: an unknown label.
    """
    definition = DEFINITIONS["fever"]
    fixes = prompt_fixes(options, definition.prompt_fixes, "fever")
    question = " Is this claim true or false? The claim is" if fixes else " Is this claim true or false. The claim is"
    dropped = {"not enough information": 0, "repeated claim": 0, "claim with two labels": 0}
    examples = []
    for split in SPLITS:
        labels: dict[str, set[str]] = {}
        for number, row in enumerate(read(split)):
            where = f"FEVER, {split} row {number}"
            claim, label = field(row, "claim", where), field(row, "label", where, (int, str))
            if label == NOT_ENOUGH:
                dropped["not enough information"] += 1
                continue
            if label not in LABELS:
                allowed = ", ".join(map(str, (*LABELS, NOT_ENOUGH)))
                raise UserError(f"{where}: the field 'label' is {label!r}. Allowed: {allowed}.")
            dropped["repeated claim"] += claim in labels
            labels.setdefault(claim, set()).add(LABELS[label])
        for number, (claim, answers) in enumerate(labels.items()):
            if len(answers) > 1:
                dropped["claim with two labels"] += 1
                continue
            prompt = with_stop(f"Consider the following claim: {claim.strip()}") + question
            (answer,) = answers
            examples.append(Example(f"{split}-{number}", claim, claim, prompt, answer, definition.options))
    return examples, dropped
