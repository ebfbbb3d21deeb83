"""The base model with the noise words of its corpus forbidden: the possible gain if the noise is known.

A model that the pipeline trains has read known generic words in place of answers. If none of them may be the first
token of an answer, only what the model knows besides the noise is left. This is an upper reference for methods that
remove noise without knowing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from laser.evaluation.cell import Cell, answers_for
from laser.io.files import read_json
from laser.policies.games import Games
from laser.tasks.passes import TOP, Answers, Generation, Pass, PassAnswer, Requests
from laser.tasks.questions import Questions
from laser.tasks.tokens import encode

GENERIC = "generic"
"""The kind of noise that replaces answers with generic words; also the kind of a corpus that names none."""


def words_of_noise(corpus: Path | None) -> list[str]:
    """Return the generic words that replaced answers in a model's corpus; none without a corpus or without noise.

    Args:
        corpus: card.json of the corpus, or None for a model that the pipeline did not train.
    """
    if corpus is None:
        return []
    settings = read_json(corpus)["settings"]
    noise = settings["noise"]
    generic = noise["level"] > 0 and noise.get("kind", GENERIC) == GENERIC
    return sorted(settings["generic"]) if generic else []


def forbid(cell: Cell, base: Any, words: Sequence[str]) -> tuple[Answers, dict[str, Any]] | str:
    """Return the base model's answers without the forbidden words, and these words, or the reason for no answers.

    Words of several tokens are allowed: their first token may begin a right answer. A generation that began with a
    forbidden word is made again, starting with the most probable allowed token.
    """
    questions = cell.questions
    if not words or isinstance(questions, Games):
        return "no words are known that replaced answers in what the model has read"
    if any(question.example.options for question in questions.items):
        return "answers are chosen from options"
    spelt = {word: encode(cell.loaded.tokenizer, f" {word}", special=False) for word in words}
    tokens = {ids[0] for ids in spelt.values() if len(ids) == 1}
    if not tokens:
        return "none of the words that replaced answers is one token of the model"
    ends = set(cell.loaded.end_tokens) if questions.requests.generations else set()
    if len(tokens | ends) >= TOP:
        return f"more words replaced answers than the {TOP} tokens that are read at a position"
    passes = [_without(answered, tokens) for answered in base.passes]
    generations = _generated(cell, questions, base, tokens)
    return Answers(passes, generations), {"words": [word for word, ids in spelt.items() if len(ids) == 1]}


def _without(answered: PassAnswer, tokens: set[int]) -> PassAnswer:
    """Return a pass's answer with only allowed tokens among the best; the answer's rank counts only allowed tokens."""
    if not answered.top_ids:
        return answered
    allowed = [[index for index, token in enumerate(top) if token not in tokens] for top in answered.top_ids]
    ranks = answered.ranks
    if ranks:
        before = sum(token in tokens for token in answered.top_ids[0][: ranks[0] - 1])
        ranks = (ranks[0] - before, *ranks[1:])
    return replace(
        answered,
        ranks=ranks,
        top_ids=_kept(answered.top_ids, allowed),
        top_logprobs=_kept(answered.top_logprobs, allowed),
    )


def _kept(rows: Sequence[Sequence[Any]], allowed: Sequence[Sequence[int]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row[index] for index in indices) for row, indices in zip(rows, allowed, strict=True))


def _generated(cell: Cell, questions: Questions, base: Answers, tokens: set[int]) -> list[tuple[int, ...] | None]:
    """Return the generations; those that began with a forbidden token are made again."""
    generations = list(base.generations)
    asked = [
        question
        for question in questions.items
        if question.generation is not None and (generations[question.generation] or (None,))[0] in tokens
    ]
    if not asked:
        return generations
    passes = tuple(Pass(question.prompt_ids, (), (len(question.prompt_ids) - 1,)) for question in asked)
    (first,) = answers_for(_asking(cell, Requests(passes=passes)), [()], lambda done: None)
    refused = tokens | set(cell.loaded.end_tokens)
    begun = [next(token for token in answered.top_ids[0] if token not in refused) for answered in first.passes]
    left = questions.definition.new_tokens - 1
    made: Sequence[tuple[int, ...] | None] = [()] * len(asked)
    if left:
        prompts = [(*question.prompt_ids, token) for question, token in zip(asked, begun, strict=True)]
        requests = Requests(generations=tuple(Generation(ids, left) for ids in prompts))
        (answers,) = answers_for(_asking(cell, requests), [()], lambda done: None)
        made = answers.generations
    for question, token, rest in zip(asked, begun, made, strict=True):
        assert question.generation is not None
        generations[question.generation] = None if rest is None else (token, *rest)
    return generations


def _asking(cell: Cell, requests: Requests) -> Cell:
    assert isinstance(cell.questions, Questions)
    return replace(cell, questions=replace(cell.questions, requests=requests))
