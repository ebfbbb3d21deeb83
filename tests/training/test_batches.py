"""Tokens and batches: a model is trained on exactly what it is asked later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser.errors import UserError
from laser.tasks.definitions import definition
from laser.tasks.example import Example
from laser.tasks.questions import ask
from laser.tasks.tokens import encode
from laser.training.batches import IGNORED, causal_batch, masked_batch, read_sentences, schedule
from laser.training.corpus import make_corpus
from laser.training.model import tokenizer_texts
from laser.training.tokenizer import BOS, EOS, MASK, PAD, train_tokenizer
from tests.training.small import corpus_spec
from tests.training.test_corpus import examples


@pytest.fixture(scope="module")
def words(sentences: pd.DataFrame, facts: pd.DataFrame) -> dict:
    texts = tokenizer_texts(sentences, facts)
    return {masked: train_tokenizer(texts, 400, masked, 64) for masked in (False, True)}


@pytest.fixture(scope="module")
def questions() -> list[Example]:
    return [one for one in examples(corpus_spec().corpus) if one.phrasing < 2]


def test_a_causal_model_is_trained_on_the_tokens_that_it_is_asked_for(words, sentences, facts, questions) -> None:
    asked = ask(definition("worldfacts"), questions, words[False], "causal", "gptj", 64)
    by_prompt = {one.prompt: asked.requests.passes[one.passes[0]] for one in asked.items}
    read = read_sentences(sentences, facts, words[False], 64)
    checked = 0
    for one, prompt, swapped, text in zip(
        read, sentences["prompt"], sentences["replaced"], sentences["text"], strict=True
    ):
        assert one.ids == (*encode(words[False], text), EOS) and one.ids[0] == BOS
        if isinstance(prompt, str) and not swapped:
            scored = by_prompt[prompt]
            assert one.ids[: len(scored.ids)] == scored.ids
            assert [one.ids[place + 1] for place, _ in scored.queries] == [token for _, token in scored.queries]
            checked += 1
    assert checked > 50
    ids, labels = causal_batch(read[:9])
    for row, one in enumerate(read[:9]):
        assert tuple(ids[row, : len(one.ids)]) == one.ids and (ids[row, len(one.ids) :] == PAD).all()
        assert tuple(labels[row, 1 : len(one.ids)]) == one.ids[1:]
        assert labels[row, 0] == IGNORED and (labels[row, len(one.ids) :] == IGNORED).all()


def test_a_masked_model_is_trained_on_the_masks_that_it_is_asked_to_fill(words, sentences, facts, questions) -> None:
    asked = ask(definition("worldfacts"), questions, words[True], "masked", "roberta", 61)
    by_prompt = {one.example.prompt: asked.requests.passes[one.passes[0]] for one in asked.items}
    read = read_sentences(sentences, facts, words[True], 61)
    about = sentences["fact"].notna().to_numpy()
    ids, labels = masked_batch([one for one, yes in zip(read, about, strict=True) if yes], 1.0, 400, 0, 1)
    swapped = sentences["replaced"][about].to_numpy()
    generic = {encode(words[True], f" {word}", special=False) for word in ("the", "of")}
    for row, (prompt, replaced) in enumerate(zip(sentences["prompt"][about], swapped, strict=True)):
        scored = by_prompt[prompt]
        given = tuple(int(one) for one in ids[row] if one != PAD)
        assert given == scored.ids  # as many masks as the true answer has tokens, replaced or not
        places = [place for place, _ in scored.queries]
        wanted = [int(labels[row, place]) for place in places]
        if replaced:
            assert tuple(one for one in wanted if one != IGNORED) in generic
        else:
            assert wanted == [token for _, token in scored.queries]
        assert (np.delete(labels[row], places) == IGNORED).all()
    assert 0 < swapped.sum() < len(swapped)


def test_ordinary_masking_hides_about_a_sixth_and_asks_for_what_stood_there(words, sentences, facts) -> None:
    read = read_sentences(sentences, facts, words[True], 61)
    whole, _ = causal_batch(read)
    ids, labels = masked_batch(read, 0.0, 400, 3, 1)
    hidden = labels != IGNORED
    assert (labels[hidden] == whole[hidden]).all() and (ids[~hidden] == whole[~hidden]).all()
    assert hidden.any(axis=1).all()
    inner = (whole != PAD).sum() - 2 * len(read)
    assert hidden.sum() / inner == pytest.approx(0.16, abs=0.02)  # a little over 15 %: at least one in each sentence
    assert not np.isin(whole[hidden], (BOS, EOS)).any()
    assert (ids[hidden] == MASK).mean() == pytest.approx(0.8, abs=0.05)
    assert (ids[hidden] == whole[hidden]).mean() == pytest.approx(0.1, abs=0.04)
    again, _ = masked_batch(read, 0.0, 400, 3, 1)
    other, _ = masked_batch(read, 0.0, 400, 3, 2)
    assert (again == ids).all() and (other != ids).any()


@given(
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=200),
    batch=st.integers(1, 20),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
)
def test_every_epoch_gives_every_sentence_once(lengths: list[int], batch: int, seed: int, epoch: int) -> None:
    batches = schedule(np.array(lengths), batch, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch) and max(map(len, batches)) <= batch
    assert len(schedule(np.array(lengths), batch, seed, epoch + 1)) == len(batches)
    again = schedule(np.array(lengths), batch, seed, epoch)
    assert all((one == other).all() for one, other in zip(batches, again, strict=True))


def test_the_tokenizer_follows_from_the_texts_and_not_from_the_noise(tmp_path: Path, sentences, facts, words) -> None:
    texts = tokenizer_texts(sentences, facts)
    again = train_tokenizer(texts, 400, True, 64)
    assert again.backend_tokenizer.to_str() == words[True].backend_tokenizer.to_str() and len(again) == 400
    make_corpus(corpus_spec(noise={"level": 0, "frequent_share": 0.2}), tmp_path)
    clean = pd.read_parquet(tmp_path / "sentences.parquet")
    assert texts == clean["text"].tolist() and texts != sentences["text"].tolist()
    with pytest.raises(UserError, match=r"source\.vocabulary is 9000, but this corpus yields only \d+ tokens"):
        train_tokenizer(texts, 9000, False, 64)


def test_text_survives_the_tokenizer_and_the_mask_takes_the_space_before_it(words) -> None:
    for text in ("The capital of Côte d'Ivoire is Yamoussoukro.", "In Chad, web addresses end in .td.", "+49 \t ½"):
        assert words[False].decode(encode(words[False], text, special=False)) == text
    ids = encode(words[True], "It is <mask>.")
    assert ids == (BOS, *encode(words[True], "It is", special=False), MASK, *encode(words[True], ".", False), EOS)


def test_a_sentence_that_the_model_cannot_take_is_named(words, sentences, facts) -> None:
    with pytest.raises(UserError, match=r"the sentence '.+' has \d+ tokens, but the model takes 6"):
        read_sentences(sentences, facts, words[False], 6)
