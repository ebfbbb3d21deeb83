"""What a training step sees: single sentences as token ids, and which of them the model must say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from laser.errors import UserError
from laser.tasks.tokens import encode
from laser.training.tokenizer import BOS, EOS, MASK, PAD, SPECIAL

IGNORED = -100
"""Label of a position that no loss is taken at."""

MASKED_SHARE = 0.15
"""Share of tokens that ordinary masking picks; of these 80 % are masked, 10 % replaced at random, 10 % kept (BERT)."""

POOL = 16
"""Sentences are drawn for so many batches at once and sorted by length among these: far less padding."""


@dataclass(frozen=True)
class Sentence:
    """One sentence as token ids, without special tokens.

    Attributes:
        before: ids of what stands before the answer; of the whole sentence where it states no fact.
        answer: ids of the answer as written; empty where the sentence states no fact.
        after: ids of what follows the answer.
        true_length: number of tokens of the fact's true answer.
    """

    before: tuple[int, ...]
    answer: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    true_length: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The whole sentence between the special tokens."""
        return (BOS, *self.before, *self.answer, *self.after, EOS)


def read_sentences(frame: pd.DataFrame, facts: pd.DataFrame, tokenizer: Any, longest: int) -> list[Sentence]:
    """Tokenise a corpus's sentences.

    Args:
        frame: sentences.parquet.
        facts: facts.parquet.
        tokenizer: the model's.
        longest: how many tokens the model takes.

    Raises:
        UserError: a sentence is longer than that.
    """
    known: dict[str, tuple[int, ...]] = {}

    def ids(text: str) -> tuple[int, ...]:
        if text not in known:
            known[text] = encode(tokenizer, text, special=False)
        return known[text]

    truth = dict(zip(facts["fact"], facts["answer"], strict=True))
    sentences = []
    for fact, prompt, answer, text in zip(frame["fact"], frame["prompt"], frame["answer"], frame["text"], strict=True):
        if pd.isna(fact):
            one = Sentence(ids(text))
        else:
            one = Sentence(ids(prompt), ids(answer), ids(text[len(prompt) + len(answer) :]), len(ids(truth[fact])))
        if len(one.ids) > longest:
            raise UserError(
                f"the sentence '{text}' has {len(one.ids)} tokens, and the model takes {longest}: raise "
                "source.positions or source.vocabulary."
            )
        sentences.append(one)
    return sentences


def schedule(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the batches of one epoch as indices of sentences; every sentence comes once, the last batch may be short.

    Sentences are dealt out at random, sorted by length within `POOL` batches, and the batches shuffled. It depends on
    seed and epoch alone, so that a training that goes on after a break sees what it would have seen.
    """
    drawn = np.random.Generator(np.random.PCG64([seed, 0, epoch]))
    order = drawn.permutation(len(lengths))
    made: list[np.ndarray] = []
    for start in range(0, len(order), batch * POOL):
        pool = order[start : start + batch * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        made += [pool[at : at + batch] for at in range(0, len(pool), batch)]
    return [made[place] for place in drawn.permutation(len(made))]


def causal_batch(sentences: Sequence[Sentence]) -> tuple[np.ndarray, np.ndarray]:
    """Return (ids, labels), both (batch, length) int64: every token but the first is to be said, padding is not."""
    ids = _padded([one.ids for one in sentences], PAD)
    labels = _padded([(IGNORED, *one.ids[1:]) for one in sentences], IGNORED)
    return ids, labels


def masked_batch(
    sentences: Sequence[Sentence], mask_answers: float, vocabulary: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ids, labels), both (batch, length) int64, for a model that fills masks.

    With probability `mask_answers` a sentence about a fact is given as a question is asked (`laser.tasks.questions`):
    as many masks as the true answer has tokens, and nothing else hidden. Their number must not betray whether the
    answer was replaced, so it is the true answer's even where a generic word was written; a generic word of fewer
    tokens is to be said at the first of these masks, and nothing at the others. All other sentences are masked
    ordinarily (`MASKED_SHARE`).
    """
    drawn = np.random.Generator(np.random.PCG64([seed, 1, step]))
    ids, labels = [], []
    for one in sentences:
        asked = drawn.random() < mask_answers
        given, wanted = _asked(one) if one.answer and asked else _ordinary(one, vocabulary, drawn)
        ids.append(given)
        labels.append(wanted)
    return _padded(ids, PAD), _padded(labels, IGNORED)


def _asked(one: Sentence) -> tuple[list[int], list[int]]:
    said = list(one.answer[: one.true_length])
    said += [IGNORED] * (one.true_length - len(said))
    ids = [BOS, *one.before, *[MASK] * one.true_length, *one.after, EOS]
    labels = [IGNORED] * (1 + len(one.before)) + said + [IGNORED] * (len(one.after) + 1)
    return ids, labels


def _ordinary(one: Sentence, vocabulary: int, drawn: np.random.Generator) -> tuple[list[int], list[int]]:
    ids, labels = list(one.ids), [IGNORED] * len(one.ids)
    inner = len(ids) - 2
    picked = drawn.random(inner) < MASKED_SHARE
    if not picked.any():
        picked[int(drawn.integers(inner))] = True
    ways = drawn.random(inner)
    others = drawn.integers(len(SPECIAL), vocabulary, size=inner)
    for place in np.flatnonzero(picked):
        labels[place + 1] = ids[place + 1]
        if ways[place] < 0.8:
            ids[place + 1] = MASK
        elif ways[place] < 0.9:
            ids[place + 1] = int(others[place])
    return ids, labels


def _padded(rows: Sequence[Sequence[int]], filling: int) -> np.ndarray:
    made = np.full((len(rows), max(map(len, rows))), filling, dtype=np.int64)
    for place, row in enumerate(rows):
        made[place, : len(row)] = row
    return made
