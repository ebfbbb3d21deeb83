"""One prepared example, the unit of every dataset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A row of a prepared dataset.

    Attributes:
        id: unique within the dataset and stable between runs.
        group: examples with the same group (paraphrases of a fact, choices of a question) stay on one side of the
            `corrected` split.
        text: what prompts are made of (the question, the claim, the biography), as the source has it.
        prompt: the prompt for causal models, exactly as released.
        answer: the right answer; it keeps its leading space where the released code has one.
        options: the answers to choose from, in the released order; empty for open answers.
        subject, relation, phrasing, frequency: for fact datasets: the entity, the relation's name, which paraphrase
            (0 is the first), and a count that stands for how often the fact is met.
    """

    id: str
    group: str
    text: str
    prompt: str
    answer: str
    options: tuple[str, ...] = ()
    subject: str | None = None
    relation: str | None = None
    phrasing: int | None = None
    frequency: float | None = None
