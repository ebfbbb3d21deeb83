"""CounterFact: each fact as a prompt and its paraphrases, the true answer with a leading space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets._rows import check_filled, field, fill
from laser.tasks.example import Example

SPLITS = ("train",)
COLUMNS = ("case_id", "requested_rewrite", "paraphrase_prompts")
OPTIONS: tuple[str, ...] = ()


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build the rewrite prompt and the paraphrases of each record, in file order.

    Rows are records of counterfact.json: `case_id`, `requested_rewrite` (`prompt` with {} for the subject,
    `subject`, `target_true.str`, optionally `relation_id`) and `paraphrase_prompts`. Nothing is stripped or filtered.
    """
    examples = []
    for number, row in enumerate(read("train")):
        where = f"CounterFact, record {number}"
        case = field(row, "case_id", where, int)
        subject = field(row, "requested_rewrite.subject", where)
        template = field(row, "requested_rewrite.prompt", where)
        answer = " " + field(row, "requested_rewrite.target_true.str", where)
        paraphrases = field(row, "paraphrase_prompts", where, list)
        rewrite = fill(template, subject, where, "requested_rewrite.prompt")
        for paraphrase in paraphrases:
            check_filled(paraphrase, subject, where, "paraphrase_prompts")
        for phrasing, prompt in enumerate([rewrite, *paraphrases]):
            examples.append(
                Example(
                    id=f"{case}-{phrasing}",
                    group=str(case),
                    text=prompt,
                    prompt=prompt,
                    answer=answer,
                    subject=subject,
                    relation=row["requested_rewrite"].get("relation_id"),
                    phrasing=phrasing,
                )
            )
    return examples, {}
