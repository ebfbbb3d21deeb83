"""One prepared example, the unit of every dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from laser.errors import UserError


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
        other_answers: further right answers, any of which counts; their log-probability is not computed.
        side: `validation` or `test` if the source says so; None if the protocols' splits decide.
        subject, relation, phrasing, frequency: for fact datasets: the entity, the relation's name, which paraphrase
            (0 is the first), and a count that stands for how often the fact occurs.
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
    other_answers: tuple[str, ...] = ()
    side: str | None = None

    @property
    def right_answers(self) -> tuple[str, ...]:
        """All right answers, `answer` first."""
        return (self.answer, *self.other_answers)


def check_example(example: Example, where: str) -> None:
    """Refuse an example that would not survive being written and read again; rows may come from any source.

    Raises:
        UserError: a value has the wrong type, a text holds a lone surrogate, or a number is not finite. The message
            begins with `where`.
    """
    texts = {
        name: getattr(example, name) for name in ("id", "group", "text", "prompt", "answer", "subject", "relation")
    }
    texts |= {f"options[{index}]": option for index, option in enumerate(example.options)}
    texts |= {f"other_answers[{index}]": answer for index, answer in enumerate(example.other_answers)}
    for name, value in texts.items():
        if value is None and name in ("subject", "relation"):
            continue
        if not isinstance(value, str):
            raise UserError(f"{where}: {name} is {str(value)[:60]!r}, which is not of type str.")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(
                f"{where}: {name} holds half a character at index {error.start} (a lone surrogate)."
            ) from None
    frequency = example.frequency
    if frequency is not None and not (isinstance(frequency, float) and math.isfinite(frequency)):
        raise UserError(f"{where}: frequency is {str(frequency)[:60]}, which is not a finite number.")


def labels_of(texts: Sequence[str], options: Sequence[Sequence[str]]) -> list[str]:
    """Return answers as they are or, if rows offer different options, as the letter of the option: the first is A.

    An answer that is given to every question is then the first option, or the second, and not one text.

    Args:
        texts: one answer per row.
        options: the options of each row; an answer that is none of them stays as it is.
    """
    if len({tuple(offered) for offered in options}) < 2:
        return list(texts)
    pairs = zip(texts, options, strict=True)
    return [chr(ord("A") + list(offered).index(text)) if text in offered else text for text, offered in pairs]
