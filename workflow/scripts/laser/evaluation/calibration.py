"""Contextual calibration (Zhao et al. 2021, arXiv 2102.09690): options are weighed against content-free prompts.

The template of a dataset's prompts is the text with which all of them begin and end. Filled with a content-free text,
it shows which options the model prefers before it has read anything. Every option's probability is divided by that
preference, averaged over the texts; the option with the highest quotient is the answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from laser.config.protocols import Protocol
from laser.evaluation.cell import Cell, answers_for, asked
from laser.policies.games import Games
from laser.tasks.example import Example
from laser.tasks.passes import Answers
from laser.tasks.questions import Question, Questions
from laser.tasks.scoring import is_finite, option_scores
from laser.tasks.tokens import prompt_ids

CONTENT_FREE = ("N/A", "[MASK]", "")
"""The content-free texts of the paper."""


def calibrate(cell: Cell, base: Any, protocol: Protocol) -> tuple[Answers, dict[str, Any]] | str:
    """Return the base model's answers with calibrated options, and what was asked, or the reason for no calibration.

    Args:
        cell: an open cell.
        base: the base model's answers to the cell's questions.
        protocol: says whether the options' sums or their means over tokens are compared.
    """
    questions = cell.questions
    if isinstance(questions, Games):
        return "a policy answers with moves, not with options"
    offered = {question.example.options for question in questions.items}
    if offered == {()}:
        return "answers are open: calibration weighs options"
    if len(offered) > 1:
        return "each row has options of its own: calibration weighs options that all rows share"
    examples = content_free([question.example for question in questions.items])
    if not examples:
        return "the prompts of the rows are all alike, so that no template can be told from its content"
    if cell.loaded.task != "masked":
        examples = [example for example in examples if prompt_ids(cell.loaded.tokenizer, example.prompt)]
    contentless = asked(cell.spec, cell.loaded, examples)
    assert isinstance(contentless, Questions)
    if not contentless.items:
        return "no prompt without content can be asked"
    (answers,) = answers_for(replace(cell, questions=contentless), [()], lambda done: None)
    finite = [question for question in contentless.items if is_finite(question, answers)]
    if not finite:
        return "the model overflows on every prompt without content"
    shares = [_softmax(_compared(contentless, question, answers, protocol)) for question in finite]
    prior = [math.fsum(column) / len(shares) for column in zip(*shares, strict=True)]
    if not min(prior) > 0:
        return "an option has no probability after any prompt without content"
    facts = {
        "prompts": [question.prompt for question in finite],
        "prior": dict(zip(finite[0].example.options, prior, strict=True)),
    }
    return weighed(questions, base, prior, protocol), facts


def content_free(examples: Sequence[Example]) -> list[Example]:
    """Return an example in the examples' template per text of `CONTENT_FREE`; none if all their prompts are alike."""
    prompts = {example.prompt for example in examples}
    if len(prompts) < 2:
        return []
    start = _shared_start(prompts)
    end = _shared_start([prompt[len(start) :][::-1] for prompt in prompts])[::-1]
    first = examples[0]
    made = []
    for number, content in enumerate(CONTENT_FREE):
        prompt = f"{start}{content}{end}"
        # Masked models see the text, which equals the prompt if a task gives its input as it is.
        text = prompt if first.text == first.prompt else content
        made.append(
            replace(first, id=f"content-free-{number}", group=f"content-free-{number}", text=text, prompt=prompt)
        )
    return made


def _shared_start(texts: Collection[str]) -> str:
    """Return the longest common prefix of the texts."""
    first, last = min(texts), max(texts)
    return first[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))]


def _lengths(question: Question, protocol: Protocol) -> tuple[int, ...]:
    """Return the divisors of the options' sums, which a protocol applies before it compares them."""
    means = protocol.option_mean and len(set(question.lengths)) > 1
    return question.lengths if means else (1,) * len(question.lengths)


def _compared(questions: Questions, question: Question, answers: Answers, protocol: Protocol) -> list[float]:
    sums = option_scores(questions, question, answers)
    return [value / length for value, length in zip(sums, _lengths(question, protocol), strict=True)]


def _softmax(values: Sequence[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / math.fsum(powers) for power in powers]


def weighed(questions: Questions, base: Answers, prior: Sequence[float], protocol: Protocol) -> Answers:
    """Return answers whose option probabilities are divided by a prior; ranks and tokens stay as they are."""
    passes = list(base.passes)
    for question in questions.items:
        weights = [length * math.log(share) for share, length in zip(prior, _lengths(question, protocol), strict=True)]
        if len(question.passes) == 1 and len(question.lengths) > 1:
            taken = [(question.passes[0], weights)]
        else:
            taken = [(index, [weight]) for index, weight in zip(question.passes, weights, strict=True)]
        for index, subtracted in taken:
            first = tuple(value - weight for value, weight in zip(passes[index].logprobs, subtracted, strict=False))
            passes[index] = replace(passes[index], logprobs=first + passes[index].logprobs[len(first) :])
    return Answers(passes, list(base.generations))
