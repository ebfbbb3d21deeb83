"""The inputs of a training step: single sentences as token ids, and the labels that the model must predict."""

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
"""Label of a position that does not count in the loss."""

MASKED_SHARE = 0.15
"""Share of tokens that ordinary masking picks: 80 % of them are masked, 10 % replaced at random, 10 % kept (BERT)."""

POOL = 16
"""Number of batches for which sentences are drawn at once and sorted by length, which saves much padding."""


@dataclass(frozen=True)
class Sentence:
    """One sentence as token ids, without special tokens.

    Attributes:
        before: ids of the text before the answer, or of the whole sentence if it states no fact.
        answer: ids of the answer as written; empty if the sentence states no fact.
        after: ids of the text after the answer.
        true_length: number of tokens of the fact's true answer.
    """

    before: tuple[int, ...]
    answer: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    true_length: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the whole sentence between the special tokens."""
        return (BOS, *self.before, *self.answer, *self.after, EOS)


def read_sentences(frame: pd.DataFrame, facts: pd.DataFrame, tokenizer: Any, longest: int) -> list[Sentence]:
    """Tokenise the sentences of a corpus.

    Args:
        frame: sentences.parquet.
        facts: facts.parquet.
        tokenizer: the model's tokenizer.
        longest: number of tokens that the model takes.

    Raises:
        UserError: a sentence is longer than `longest`.
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
            sentence = Sentence(ids(text))
        else:
            sentence = Sentence(ids(prompt), ids(answer), ids(text[len(prompt) + len(answer) :]), len(ids(truth[fact])))
        if len(sentence.ids) > longest:
            raise UserError(
                f"the sentence '{text}' has {len(sentence.ids)} tokens, but the model takes {longest}: raise "
                "source.positions or source.vocabulary."
            )
        sentences.append(sentence)
    return sentences


def schedule(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the batches of one epoch as indices of sentences; every sentence occurs once, and a batch may be short.

    Sentences are drawn at random, sorted by length within `POOL` batches, and the batches are shuffled. The result
    depends only on seed and epoch, so a resumed training sees the same batches.
    """
    drawn = np.random.Generator(np.random.PCG64([seed, 0, epoch]))
    order = drawn.permutation(len(lengths))
    made: list[np.ndarray] = []
    for start in range(0, len(order), batch * POOL):
        pool = order[start : start + batch * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        made += [pool[at : at + batch] for at in range(0, len(pool), batch)]
    return [made[index] for index in drawn.permutation(len(made))]


def causal_batch(sentences: Sequence[Sentence]) -> tuple[np.ndarray, np.ndarray]:
    """Return (ids, labels), both (batch, length) int64: all tokens except the first and the padding are predicted."""
    ids = _padded([sentence.ids for sentence in sentences], PAD)
    labels = _padded([(IGNORED, *sentence.ids[1:]) for sentence in sentences], IGNORED)
    return ids, labels


def masked_batch(
    sentences: Sequence[Sentence], mask_answers: float, vocabulary: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ids, labels), both (batch, length) int64, for a model that fills masks.

    With probability `mask_answers` a sentence about a fact is masked like a question (`laser.tasks.questions`): one
    mask per token of the true answer, and nothing else is hidden. The number of masks must not reveal whether the
    answer was replaced, so it is that of the true answer even if a generic word was written. A generic word with fewer
    tokens is predicted at the first of these masks, and nothing at the others. All other sentences are masked as usual
    (`MASKED_SHARE`).
    """
    drawn = np.random.Generator(np.random.PCG64([seed, 1, step]))
    ids, labels = [], []
    for sentence in sentences:
        asked = drawn.random() < mask_answers
        given, wanted = _asked(sentence) if sentence.answer and asked else _ordinary(sentence, vocabulary, drawn)
        ids.append(given)
        labels.append(wanted)
    return _padded(ids, PAD), _padded(labels, IGNORED)


def _asked(sentence: Sentence) -> tuple[list[int], list[int]]:
    answer_labels = list(sentence.answer[: sentence.true_length])
    answer_labels += [IGNORED] * (sentence.true_length - len(answer_labels))
    ids = [BOS, *sentence.before, *[MASK] * sentence.true_length, *sentence.after, EOS]
    labels = [IGNORED] * (1 + len(sentence.before)) + answer_labels + [IGNORED] * (len(sentence.after) + 1)
    return ids, labels


def _ordinary(sentence: Sentence, vocabulary: int, drawn: np.random.Generator) -> tuple[list[int], list[int]]:
    ids, labels = list(sentence.ids), [IGNORED] * len(sentence.ids)
    inner = len(ids) - 2
    picked = drawn.random(inner) < MASKED_SHARE
    if not picked.any():
        picked[int(drawn.integers(inner))] = True
    ways = drawn.random(inner)
    others = drawn.integers(len(SPECIAL), vocabulary, size=inner)
    for index in np.flatnonzero(picked):
        labels[index + 1] = ids[index + 1]
        if ways[index] < 0.8:
            ids[index + 1] = MASK
        elif ways[index] < 0.9:
            ids[index + 1] = int(others[index])
    return ids, labels


def _padded(rows: Sequence[Sequence[int]], filling: int) -> np.ndarray:
    made = np.full((len(rows), max(map(len, rows))), filling, dtype=np.int64)
    for index, row in enumerate(rows):
        made[index, : len(row)] = row
    return made
