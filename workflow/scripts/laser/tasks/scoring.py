"""From an engine's answers to per-example rows, under one protocol.

Both protocols use the same answers; only the judgement differs (docs/protocols.md). A row on which the model overflowed
counts as a wrong answer and has no loss, rank or prediction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from laser.config.protocols import Protocol
from laser.tasks.judging import canonical, contains, normalise, same
from laser.tasks.passes import Answers, PassAnswer
from laser.tasks.questions import Question, Questions
from laser.tasks.tokens import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Score:
    """The score of one example.

    Attributes:
        id: the example's id.
        correct: whether the answer was right under the protocol.
        loss: -log p(answer) per answer token, nats (the protocol fixes the divisor); NaN where the model overflowed.
        logprob: summed log-probability of the answer's tokens, nats; NaN where the model overflowed.
        answer_tokens: number of answer tokens.
        prediction: predicted option, generated text, or most probable token; empty where the model overflowed.
        answer_rank: 1 + the number of tokens strictly more probable than the answer's first token; None where the
            model overflowed.
        in_top5, in_top10: whether the answer is among the most probable tokens at its first position, compared as
            strings; under `corrected`, an answer of one token also by its token id. False if no such tokens were
            asked for.
    """

    id: str
    correct: bool
    loss: float
    logprob: float
    answer_tokens: int
    prediction: str
    answer_rank: int | None
    in_top5: bool
    in_top10: bool


def score(
    questions: Questions, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> list[Score]:
    """Judge all questions under `protocol`, in order."""
    return [
        (_options if question.example.options else _open)(questions, question, answers, tokenizer, protocol)
        if is_finite(question, answers)
        else overflowed(question.example.id, _answer_length(question))
        for question in questions.items
    ]


def is_finite(question: Question, answers: Answers) -> bool:
    """Return True if everything that an example's row is computed from is finite."""
    for answered in (answers.passes[index] for index in question.passes):
        best = (values[0] for values in answered.top_logprobs)
        if not all(map(math.isfinite, (*answered.logprobs, *best))):
            return False
    return question.generation is None or answers.generations[question.generation] is not None


def overflowed(name: str, answer_tokens: int) -> Score:
    """Return the score of an example on which the model overflowed: wrong, with nothing else known."""
    return Score(name, False, math.nan, math.nan, answer_tokens, "", None, False, False)


def _answer_length(question: Question) -> int:
    options = question.example.options
    return question.lengths[options.index(question.example.answer) if options else 0]


def rows(scores: Sequence[Score]) -> dict[str, list]:
    """Return scores, all of one class, as columns for a data frame."""
    listed = [asdict(item) for item in scores]
    kind = type(scores[0]) if scores else Score
    return {key: [row[key] for row in listed] for key in kind.__dataclass_fields__}


def option_scores(questions: Questions, question: Question, answers: Answers) -> list[float]:
    """Return the summed log-probability of every option, in the options' order."""
    passes = [answers.passes[index] for index in question.passes]
    if len(passes) == 1 and len(question.lengths) > 1:
        return list(passes[0].logprobs)
    return [sum(answered.logprobs) for answered in passes]


def _best_option(values: list[float], ties: str) -> int | None:
    """Return the index of the best option; None where a tie counts as wrong."""
    best = max(range(len(values)), key=lambda index: (values[index], -index))
    if ties == "wrong" and values.count(values[best]) > 1:
        return None
    return best


def _options(
    questions: Questions, question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> Score:
    example = question.example
    sums = option_scores(questions, question, answers)
    compared = sums
    if protocol.option_mean and len(set(question.lengths)) > 1:
        compared = [value / length for value, length in zip(sums, question.lengths, strict=True)]
    best = _best_option(compared, questions.definition.ties)
    gold = example.options.index(example.answer)
    right = {example.options.index(answer) for answer in example.right_answers}
    length = question.lengths[gold]
    shared = len(question.passes) == 1 and len(question.lengths) > 1
    answered = answers.passes[question.passes[0 if shared else gold]]
    extra = protocol.mask_divisor_extra if questions.style == "option_masks" else 0
    queried = questions.requests.passes[question.passes[0 if shared else gold]].queries
    token = queried[gold if shared else 0][1] if length == 1 else None
    return Score(
        id=example.id,
        correct=best in right,
        loss=-sums[gold] / (length + extra),
        logprob=sums[gold],
        answer_tokens=length,
        prediction=example.options[best] if best is not None else "",
        answer_rank=answered.ranks[gold if shared else 0],
        in_top5=_in_top(5, answered, example.answer, token, tokenizer, protocol),
        in_top10=_in_top(10, answered, example.answer, token, tokenizer, protocol),
    )


def _open(
    questions: Questions, question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> Score:
    example = question.example
    scored = answers.passes[question.passes[-1]]
    total, length = sum(scored.logprobs), question.lengths[0]
    tokens = [token for _, token in questions.requests.passes[question.passes[-1]].queries]
    if questions.style == "generate":
        text = generated_text(question, answers, tokenizer, protocol.search_prompt)
        prediction = generated_text(question, answers, tokenizer, False)
        correct = any(contains(text, answer, protocol.word_boundaries) for answer in example.right_answers)
    elif questions.style == "open_masks":
        guesses = answers.passes[question.passes[0]].top_ids
        prediction = str(tokenizer.decode([ids[0] for ids in guesses]))
        correct = any(contains(prediction, answer, protocol.word_boundaries) for answer in example.right_answers)
    else:
        prediction = decode(tokenizer, (scored.top_ids[0][0],))
        own_first = [ids[0] for ids in scored.top_ids] == tokens
        corrected = protocol.word_boundaries
        correct = own_first and (corrected or length > 1)
        correct = correct or (length == 1 and same(prediction, example.answer, corrected))
        correct = correct or any(same(prediction, answer, corrected) for answer in example.other_answers)
    extra = protocol.mask_divisor_extra if questions.style == "open_masks" else 0
    return Score(
        id=example.id,
        correct=correct,
        loss=-total / (length + extra),
        logprob=total,
        answer_tokens=length,
        prediction=prediction,
        answer_rank=scored.ranks[0],
        in_top5=_in_top(5, scored, example.answer, tokens[0] if length == 1 else None, tokenizer, protocol),
        in_top10=_in_top(10, scored, example.answer, tokens[0] if length == 1 else None, tokenizer, protocol),
    )


def generated_text(question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, with_prompt: bool) -> str:
    """Return the decoded generation, with or without the prompt before it."""
    new = None if question.generation is None else answers.generations[question.generation]
    if new is None:
        raise ValueError(f"{question.example.id}: nothing was generated for this example")
    full = decode(tokenizer, question.prompt_ids + tuple(new))
    if with_prompt:
        return full
    prompt = decode(tokenizer, question.prompt_ids)
    return full[len(prompt) :] if full.startswith(prompt) else decode(tokenizer, tuple(new))


def _in_top(
    count: int,
    answered: PassAnswer,
    answer: str,
    token: int | None,
    tokenizer: PreTrainedTokenizerBase,
    protocol: Protocol,
) -> bool:
    """Return True if the answer is among the `count` most probable tokens at its first position.

    Args:
        count: how many tokens to look at.
        answered: the model's output for the answer's pass.
        answer: the answer's text.
        token: the answer's token id if it is one token, else None.
        tokenizer: the model's.
        protocol: under `corrected`, the answer's token id counts, whatever its text is.
    """
    top = answered.top_ids[0][:count] if answered.top_ids else ()
    if protocol.word_boundaries and token in top:
        return True
    form = canonical if protocol.word_boundaries else normalise
    return form(answer) in [form(decode(tokenizer, (each,))) for each in top]
