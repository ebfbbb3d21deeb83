"""From an engine's answers to per-example rows, under one protocol.

The same answers serve both protocols: only the judgement differs (docs/protocols.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from laser.config.protocols import Protocol
from laser.tasks.judging import contains, normalise
from laser.tasks.passes import Answers, PassAnswer
from laser.tasks.questions import Question, Questions
from laser.tasks.tokens import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Score:
    """How one example went.

    Attributes:
        id: the example's id.
        correct: whether the answer was right under the protocol.
        loss: -log p(answer) per answer token, nats (the protocol fixes the divisor).
        logprob: summed log-probability of the answer's tokens, nats.
        answer_tokens: number of answer tokens.
        prediction: predicted option, generated text, or most probable token.
        answer_rank: 1 + the number of tokens strictly more probable than the answer's first token.
        in_top5, in_top10: whether the answer (as a string, case and outer spaces ignored) is among the most
            probable tokens at the answer's first position; False where no such tokens were asked for.
    """

    id: str
    correct: bool
    loss: float
    logprob: float
    answer_tokens: int
    prediction: str
    answer_rank: int
    in_top5: bool
    in_top10: bool


def score(
    questions: Questions, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> list[Score]:
    """Judge all questions under `protocol`, in order."""
    judge = {"options": _options, "option_masks": _options, "single_mask": _single_mask}.get(questions.style, _open)
    return [judge(questions, one, answers, tokenizer, protocol) for one in questions.items]


def rows(scores: Sequence[Score]) -> dict[str, list]:
    """Return scores, all of one class, as columns for a data frame."""
    listed = [asdict(one) for one in scores]
    kind = type(scores[0]) if scores else Score
    return {key: [one[key] for one in listed] for key in kind.__dataclass_fields__}


def option_scores(questions: Questions, question: Question, answers: Answers) -> list[float]:
    """Return the summed log-probability of every option, in the options' order."""
    passes = [answers.passes[index] for index in question.passes]
    if len(passes) == 1 and len(question.lengths) > 1:
        return list(passes[0].logprobs)
    return [sum(one.logprobs) for one in passes]


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
    length = question.lengths[gold]
    shared = len(question.passes) == 1 and len(question.lengths) > 1
    answered = answers.passes[question.passes[0 if shared else gold]]
    extra = protocol.mask_divisor_extra if questions.style == "option_masks" else 0
    top = _top_strings(answered, tokenizer) if answered.top_ids else []
    return Score(
        id=example.id,
        correct=best == gold,
        loss=-sums[gold] / (length + extra),
        logprob=sums[gold],
        answer_tokens=length,
        prediction=example.options[best] if best is not None else "",
        answer_rank=answered.ranks[gold if shared else 0],
        in_top5=normalise(example.answer) in top[:5],
        in_top10=normalise(example.answer) in top,
    )


def _single_mask(
    questions: Questions, question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> Score:
    if question.example.options:
        return _options(questions, question, answers, tokenizer, protocol)
    return _open(questions, question, answers, tokenizer, protocol)


def _open(
    questions: Questions, question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, protocol: Protocol
) -> Score:
    example = question.example
    scored = answers.passes[question.passes[-1]]
    total, length = sum(scored.logprobs), question.lengths[0]
    top = _top_strings(scored, tokenizer)
    if questions.style == "generate":
        text = generated_text(question, answers, tokenizer, protocol.search_prompt)
        prediction = generated_text(question, answers, tokenizer, False)
        correct = contains(text, example.answer, protocol.word_boundaries)
    elif questions.style == "open_masks":
        guesses = answers.passes[question.passes[0]].top_ids
        prediction = str(tokenizer.decode([ids[0] for ids in guesses]))
        correct = contains(prediction, example.answer, protocol.word_boundaries)
    else:
        prediction = decode(tokenizer, (scored.top_ids[0][0],))
        if length == 1:
            correct = normalise(prediction) == normalise(example.answer)
        else:
            correct = all(rank == 1 for rank in scored.ranks)
    extra = protocol.mask_divisor_extra if questions.style == "open_masks" else 0
    return Score(
        id=example.id,
        correct=correct,
        loss=-total / (length + extra),
        logprob=total,
        answer_tokens=length,
        prediction=prediction,
        answer_rank=scored.ranks[0],
        in_top5=normalise(example.answer) in top[:5],
        in_top10=normalise(example.answer) in top,
    )


def generated_text(question: Question, answers: Answers, tokenizer: PreTrainedTokenizerBase, with_prompt: bool) -> str:
    """Return the decoded generation, with the prompt before it or without."""
    if question.generation is None:
        raise ValueError(f"{question.example.id}: nothing was generated for this example")
    new = answers.generations[question.generation]
    full = decode(tokenizer, question.prompt_ids + tuple(new))
    if with_prompt:
        return full
    prompt = decode(tokenizer, question.prompt_ids)
    return full[len(prompt) :] if full.startswith(prompt) else decode(tokenizer, tuple(new))


def _top_strings(answer: PassAnswer, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the normalised strings of the most probable tokens at the answer's first position, best first."""
    if not answer.top_ids:
        return []
    return [normalise(decode(tokenizer, (token,))) for token in answer.top_ids[0]]
