"""Other wordings of each dataset's prompt: a small fixed set, to see how far a gain depends on the prompt.

The wordings are ours, written before any was evaluated. `original` comes first and changes nothing. A variant keeps
the question, the answer and the options; it changes the text, the prompt and, for biographies, the separate prompt of
masked models. Completions (CounterFact, facts about countries, WikidataQA) keep their sentence, because the answer
completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from laser.errors import UserError, nearest
from laser.tasks.definitions import Definition, MaskedPrompt, tail
from laser.tasks.example import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Wording = Callable[[str], str]


@dataclass(frozen=True)
class Variant:
    """One wording of a dataset's prompt.

    Attributes:
        name: the variant's name in results.
        says: a description of the difference, for readers.
        wording: makes the prompt from `Example.text`; None leaves the example as it is.
        sentence: whether the prompt of masked models is made from `Example.text` (a sentence to complete, a task's own
            input), which is then reworded as well.
        masked: the prompt of masked models, if it is made neither from the prompt nor from a reworded text.
    """

    name: str
    says: str
    wording: Wording | None = None
    sentence: bool = False
    masked: MaskedPrompt | None = None

    def example(self, example: Example) -> Example:
        """Return the example in this wording; id, group, answer and options stay the same."""
        if self.wording is None:
            return example
        prompt = self.wording(example.text)
        return replace(example, prompt=prompt, text=prompt if self.sentence else example.text)

    def definition(self, definition: Definition) -> Definition:
        """Return the dataset's definition with this wording's prompt for masked models."""
        return definition if self.masked is None else replace(definition, masked_prompt=self.masked)


ORIGINAL = Variant("original", "the released prompt")


def variants(builder: str) -> tuple[Variant, ...]:
    """Return the wordings of a dataset, `original` first. Raises UserError for an unknown builder."""
    if builder not in VARIANTS:
        raise UserError(
            f"builder is '{builder}'{nearest(builder, VARIANTS)}, which has no other wordings. "
            f"Allowed: {', '.join(sorted(VARIANTS))}."
        )
    return (ORIGINAL, *VARIANTS[builder])


def reworded(variant: Variant, examples: Sequence[Example]) -> list[Example]:
    """Return examples in a variant's wording, in order."""
    return [variant.example(example) for example in examples]


def _stopped(text: str, stops: str = ".?", stop: str = ".") -> str:
    text = text.strip()
    return text if text.endswith(tuple(stops)) else text + stop


def _asked(text: str) -> str:
    return _stopped(text, stop="?")


def _completions() -> tuple[Variant, ...]:
    return (
        Variant(
            "instruction",
            "'Complete the sentence:' goes before",
            lambda text: f"Complete the sentence: {text.strip()}",
            True,
        ),
        Variant("fact", "'Fact:' goes before", lambda text: f"Fact: {text.strip()}", True),
        Variant("colon", "a colon ends the prompt", lambda text: f"{text.strip()}:", True),
    )


def _biography(name: str, says: str, opening: str, question: str) -> Variant:
    """Return a wording of a biography: opening, the text (its tail for masked models), question."""

    def masked(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
        return f"{tail(text, tokenizer, opening)} {question} {tokenizer.mask_token}."

    return Variant(name, says, lambda text: f"{opening} {_stopped(text)} {question}", masked=masked)


def _task(name: str, says: str, wording: Wording) -> Variant:
    """Return a wording of a task's own input, which masked models see as it is."""
    return Variant(name, says, wording, sentence=True)


def _ending(old: str, new: str) -> Wording:
    """Return a wording with another ending; a text that lacks the old one gets the new one appended."""
    return lambda text: f"{text.rstrip().removesuffix(old).rstrip()}\n{new}"


def _opening(first: str, new: str) -> Wording:
    """Return a wording in which the text before the first `first` is replaced by `new`."""

    def wording(text: str) -> str:
        _, separator, rest = text.partition(first)
        return f"{new}{separator}{rest}" if separator else f"{new}{text}"

    return wording


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "counterfact": _completions(),
    "worldfacts": _completions(),
    "qa_wikidata": _completions(),
    "hotpotqa": (
        Variant("colon", "a colon ends the prompt", lambda text: f"{_asked(text)} The answer is:"),
        Variant("answer", "'Question:' and 'Answer:' frame it", lambda text: f"Question: {_asked(text)}\nAnswer:"),
        Variant("lead_in", "an instruction goes before", lambda text: f"Answer briefly. {_asked(text)} The answer is"),
    ),
    "fever": (
        Variant(
            "question_mark",
            "the question ends in a question mark",
            lambda text: f"Consider the following claim: {_stopped(text)} Is this claim true or false? The claim is",
        ),
        Variant(
            "answer", "'Claim:' and 'Answer:' frame it", lambda text: f"Claim: {_stopped(text)} True or false? Answer:"
        ),
        Variant(
            "order",
            "false is named before true",
            lambda text: f"Consider the following claim: {_stopped(text)} Is this claim false or true? The claim is",
        ),
    ),
    "truthfulqa": (
        Variant(
            "space",
            "the missing space before the question",
            lambda text: f"{_stopped(text, '.')} Is this statement true or false? This statement is",
        ),
        Variant("answer", "'Answer:' ends the prompt", lambda text: f"{_stopped(text, '.')} True or false? Answer:"),
        Variant(
            "order",
            "false is named before true",
            lambda text: f"{_stopped(text, '.')} Is this statement false or true? This statement is",
        ),
    ),
    "bios_gender": (
        _biography(
            "order",
            "female is named before male",
            "Consider the following text:",
            "Is the person in this text a female or male? The gender of this person is",
        ),
        _biography(
            "answer",
            "'Answer:' ends the prompt",
            "Consider the following text:",
            "Is the person in this text a male or female? Answer:",
        ),
        _biography(
            "lead_in", "'Biography:' goes before", "Biography:", "Is this person male or female? This person is"
        ),
    ),
    "bios_profession": (
        _biography(
            "answer",
            "'Answer:' ends the prompt",
            "Consider the following text:",
            "What is the profession of the person in this text? Answer:",
        ),
        _biography("lead_in", "'Biography:' goes before", "Biography:", "The profession of this person is"),
        _biography("job", "asks for the job", "Consider the following text:", "The job of the person in this text is"),
    ),
    "epistemic_reasoning": (
        _task("answer", "'Answer:' ends the prompt", _ending("Relation:", "Answer:")),
        _task(
            "order",
            "non-entailment is named before entailment",
            _opening("Premise:", "Is the relation of premise and hypothesis 'non-entailment' or 'entailment'?\n\n"),
        ),
        _task(
            "lead_in",
            "another instruction goes before",
            _opening(
                "Premise:", "Does the hypothesis follow from the premise? Say 'entailment' or 'non-entailment'.\n\n"
            ),
        ),
    ),
    "causal_judgment": (
        _task("answer", "'Answer:' ends the prompt", _ending("A:", "Answer:")),
        _task("options", "the ending names the options", _ending("A:", "Answer (Yes or No):")),
        _task("lead_in", "another instruction goes before", _opening("Q: ", "Answer as most people would.\n\n")),
    ),
    "web_of_lies": (
        _task("answer", "'Answer:' ends the prompt", _ending("Answer:", "Answer:")),
        _task("options", "the ending names the options", _ending("Answer:", "Answer (Yes or No):")),
        _task(
            "lead_in", "an instruction goes before", _opening("Question: ", "Every person always lies or never does.\n")
        ),
    ),
}
"""Builder name to its wordings other than the original."""
