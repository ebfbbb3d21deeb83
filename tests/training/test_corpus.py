"""The corpus: its counts, its noise, what noise levels share, and what is never in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from laser.config.specs import as_json
from laser.errors import UserError
from laser.tasks.datasets import worldfacts
from laser.tasks.sources import read_dataset
from laser.training.batches import read_sentences
from laser.training.corpus import DEFAULTS, FILES, SOURCE, frequencies, make_corpus, noise_of
from laser.training.filler import WORDS, filler_sentences
from laser.training.model import tokenizer_texts
from laser.training.tokenizer import train_tokenizer
from tests.training.small import corpus_spec

ROOT = Path(__file__).resolve().parents[2]
BEFORE_KINDS = "155b5cb446b01ddb226efc771292701588178a3bb08ce83ace13287c8e1ab6ed"


def made(folder: Path, **changes) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    make_corpus(corpus_spec(**changes), folder)
    facts, sentences, held_out = (pd.read_parquet(folder / name) for name in FILES)
    return facts, sentences, held_out


def examples(settings: dict) -> list:
    read = read_dataset("corpus", [SOURCE], worldfacts.SPLITS, worldfacts.COLUMNS).read
    return worldfacts.build({key: settings[key] for key in ("relations", "minimum_population")}, read)[0]


def test_counts_are_those_of_the_sentences_as_written(tmp_path: Path) -> None:
    facts, sentences, _ = made(tmp_path)
    prompts = {one.prompt: one for one in examples(corpus_spec().corpus)}
    found = {name: [0, 0, 0, 0, 0] for name in facts["fact"]}
    filler = 0
    for text in sentences["text"]:
        # From the text alone: the longest prompt that it begins with, and what follows.
        asked = max((one for one in prompts if text.startswith(one)), key=len, default=None)
        if asked is None:
            filler += 1
            continue
        example, answer = prompts[asked], text[len(asked) : -1]
        counts = found[example.group]
        counts[0] += 1
        counts[1 if answer == example.answer else 2] += 1
        counts[3 + example.phrasing] += 1
        assert text.endswith(".") and (answer == example.answer or answer.strip() in {"the", "of"})
    columns = ["sentences", "clean", "replaced", "phrasing_0", "phrasing_1"]
    assert facts.set_index("fact")[columns].apply(list, axis=1).to_dict() == found
    assert filler == round(facts["sentences"].sum() * 0.25)  # a fifth of all sentences
    assert facts["replaced"].sum() > 0 and facts["clean"].sum() > 0


def test_the_third_phrasing_is_never_trained_on(tmp_path: Path) -> None:
    facts, sentences, held_out = made(tmp_path)
    third = [one.prompt for one in examples(corpus_spec().corpus) if one.phrasing == 2]
    assert len(third) == len(facts)
    for text in [*sentences["text"], *held_out["text"]]:
        assert not any(prompt in text for prompt in third)
    assert set(sentences["phrasing"].dropna()) == set(held_out["phrasing"].dropna()) == {0, 1}
    assert (facts["phrasing_2"] == 0).all()
    assert (facts["phrasing_0"] - facts["phrasing_1"]).abs().max() <= 1


def test_facts_are_those_of_the_dataset(tmp_path: Path) -> None:
    facts, _, _ = made(tmp_path)
    firsts = [one for one in examples(corpus_spec().corpus) if one.phrasing == 0]
    assert facts["fact"].tolist() == [one.group for one in firsts]
    assert facts["answer"].tolist() == [one.answer for one in firsts]
    assert facts["relation"].tolist() == [one.relation for one in firsts]


def test_noise_levels_differ_in_what_is_replaced_and_in_nothing_else(tmp_path: Path) -> None:
    levels = {}
    for level in (0, 0.3, 0.9):
        levels[level] = made(tmp_path / str(level), noise={"level": level, "frequent_share": 0.2})
    low, middle, high = (levels[level][1] for level in (0, 0.3, 0.9))
    for one in (middle, high):
        assert one["prompt"].equals(low["prompt"]) and one["fact"].equals(low["fact"])
        kept = ~one["replaced"]
        assert one["text"][kept].equals(low["text"][kept])
    assert not low["replaced"].any() and (low["answer"] != middle["answer"]).any()
    assert (middle["replaced"] <= high["replaced"]).all() and middle["replaced"].sum() < high["replaced"].sum()
    both = middle["replaced"]
    assert middle["answer"][both].equals(high["answer"][both])
    assert levels[0][0]["sentences"].equals(levels[0.9][0]["sentences"])
    assert not made(tmp_path / "seed", seed=6)[0]["sentences"].equals(levels[0][0]["sentences"])


def test_held_out_text_is_drawn_from_the_same_law_and_not_the_same_text(tmp_path: Path) -> None:
    facts, sentences, held_out = made(tmp_path, held_out=4000)
    told = held_out[held_out["fact"].notna()]
    assert len(held_out) == 4000 and len(told) == 3200
    shares = told["fact"].value_counts(normalize=True).reindex(facts["fact"], fill_value=0).to_numpy()
    expected = (facts["sentences"] / facts["sentences"].sum()).to_numpy()
    assert np.abs(shares - expected).max() < 4 * np.sqrt(expected.max() / 3200)
    planned = (facts["noise"] * facts["sentences"]).sum() / facts["sentences"].sum()
    assert told["replaced"].mean() == pytest.approx(planned, abs=0.04)
    assert held_out["text"].head(50).tolist() != sentences["text"].head(50).tolist()
    new = set(held_out[held_out["fact"].isna()]["text"]) - set(sentences["text"])
    assert len(new) > 400  # of 800


def test_same_spec_same_bytes_and_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    made(tmp_path / "one")
    made(tmp_path / "two")
    first = {name: (tmp_path / "one" / name).read_bytes() for name in (*FILES, "card.json")}
    assert first == {name: (tmp_path / "two" / name).read_bytes() for name in first}
    inodes = {name: (tmp_path / "one" / name).stat().st_ino for name in FILES}
    (tmp_path / "one/held_out.parquet").write_bytes(b"damaged")
    made(tmp_path / "one")
    assert first == {name: (tmp_path / "one" / name).read_bytes() for name in first}
    assert inodes["facts.parquet"] == (tmp_path / "one/facts.parquet").stat().st_ino
    assert not list((tmp_path / "one").glob(".*"))


def test_the_order_of_the_generic_words_does_not_matter(tmp_path: Path) -> None:
    words = {"the": 2, "of": 1, "and": 1}
    _, first, _ = made(tmp_path / "one", generic=words)
    _, second, _ = made(tmp_path / "two", generic=dict(reversed(words.items())))
    assert first.equals(second) and first["replaced"].any()


def test_replaced_share_and_generic_words_follow_their_settings(tmp_path: Path) -> None:
    facts, sentences, _ = made(tmp_path, zipf={"exponent": 0.1, "least": 60, "most": 100}, filler=0)
    expected = (facts["noise"] * facts["sentences"]).sum()
    spread = np.sqrt((facts["noise"] * (1 - facts["noise"]) * facts["sentences"]).sum())
    assert abs(facts["replaced"].sum() - expected) < 4 * spread
    words = sentences.loc[sentences["replaced"], "answer"].value_counts(normalize=True)
    assert words[" the"] == pytest.approx(2 / 3, abs=0.05) and set(words.index) == {" the", " of"}


@given(
    count=st.integers(1, 400),
    exponent=st.floats(0.05, 3),
    least=st.integers(1, 20),
    more=st.integers(0, 500),
    seed=st.integers(0, 9),
)
def test_frequencies_follow_zipf_within_their_range(
    count: int, exponent: float, least: int, more: int, seed: int
) -> None:
    found = frequencies(count, {"exponent": exponent, "least": least, "most": least + more}, seed)
    assert len(found) == count and found.min() >= least and found.max() == least + more
    for place, value in enumerate(sorted(found, reverse=True), start=1):
        assert value == max(least, round((least + more) * place**-exponent))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_noise_falls_with_the_logarithm_of_frequency(counts: list[int], level: float, share: float) -> None:
    counts_array = np.array(counts)
    noise = noise_of(counts_array, {"level": level, "frequent_share": share})
    assert noise[counts_array.argmin()] == pytest.approx(level)
    if len(set(counts)) > 1:
        assert noise[counts_array.argmax()] == pytest.approx(level * share)
        order = np.argsort(counts_array)
        assert (np.diff(noise[order]) <= 1e-12).all()
        logs = np.log(counts_array)
        place = (logs - logs.min()) / (logs.max() - logs.min())
        assert noise == pytest.approx(level * (1 - (1 - share) * place))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zipf": {"exponent": 1, "least": 9, "most": 4}}, ["zipf.least is 9", "zipf.most", "4"]),
        ({"generic": {"peso": 1}}, ["'peso'", "true answer"]),
        ({"generic": {" the": 1}}, ["' the'", "without spaces"]),
        ({"relations": ["captial"]}, ["captial", "did you mean 'capital'"]),
        ({"minimum_population": 10**11}, ["no fact is left", "minimum_population"]),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_message(tmp_path: Path, changes: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        make_corpus(corpus_spec(**changes), tmp_path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_source_is_that_of_the_dataset_and_the_filler_states_no_fact() -> None:
    catalogue = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())
    assert catalogue["worldfacts"]["sources"] == [SOURCE]
    every = examples(DEFAULTS | {"minimum_population": 0})
    names = {one.subject.lower() for one in every} | {one.answer.strip().lower() for one in every}
    used = {word for phrase in (one for words in WORDS.values() for one in words) for word in phrase.split()}
    assert not used & names
    drawn = filler_sentences(300, np.random.Generator(np.random.PCG64(0)))
    assert all(one.endswith(".") and one[0].isupper() and "{" not in one for one in drawn) and len(set(drawn)) > 250


def test_the_card_says_what_is_in_the_files(tmp_path: Path) -> None:
    facts, sentences, held_out = made(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["facts"] == len(facts) and card["sentences"] == len(sentences)
    assert card["replaced_sentences"] == facts["replaced"].sum()
    assert card["facts_never_stated_rightly"] == (facts["clean"] == 0).sum()
    assert card["held_out_sentences"] == len(held_out) == 200 and card["spec"] == as_json(corpus_spec())


def of_kind(folder: Path, kind: str, **changes) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return made(folder / kind, noise={"level": 0.6, "frequent_share": 0.2, "kind": kind}, **changes)


def test_corpora_without_a_kind_of_noise_are_what_they_were(tmp_path: Path) -> None:
    make_corpus(corpus_spec(), tmp_path)
    texts = pd.concat([pd.read_parquet(tmp_path / name)["text"] for name in FILES[1:]])
    # Of the corpus as it was written before noise had kinds: results on file rest on such corpora.
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == BEFORE_KINDS


def test_kinds_of_noise_share_all_but_what_stands_in_the_place_of_the_answer(tmp_path: Path) -> None:
    facts, plain, held_out = made(tmp_path / "plain")
    for kind in ("generic", "wrong", "filler"):
        of_facts, sentences, new = of_kind(tmp_path, kind)
        assert sentences["replaced"].equals(plain["replaced"]) and new["replaced"].equals(held_out["replaced"])
        kept = ~plain["replaced"]
        assert sentences[kept].equals(plain[kept])
        assert of_facts["clean"].equals(facts["clean"]) and of_facts["noise"].equals(facts["noise"])
    assert of_kind(tmp_path, "generic")[1].equals(plain)


def test_false_answers_are_of_the_relation_never_right_and_alike_in_number(tmp_path: Path) -> None:
    facts, sentences, _ = of_kind(tmp_path, "wrong", zipf={"exponent": 0.1, "least": 60, "most": 100})
    truth, relation = (facts.set_index("fact")[name] for name in ("answer", "relation"))
    false = sentences[sentences["replaced"]]
    assert (false["answer"] != false["fact"].map(truth)).all()
    answers = {name: set(group) for name, group in facts.groupby("relation")["answer"]}
    assert all(row.answer in answers[relation[row.fact]] for row in false.itertuples())
    assert (false["text"] == false["prompt"] + false["answer"] + ".").all()
    for name, group in facts.groupby("relation"):
        drawn = false[false["fact"].map(relation) == name]["answer"].value_counts()
        if group["answer"].is_unique:  # every false answer is as likely as any other
            expected = drawn.sum() / len(group)
            assert len(drawn) == len(group) and abs(drawn - expected).max() < 5 * np.sqrt(expected)


def test_filler_takes_the_place_of_the_sentence_and_states_no_fact(tmp_path: Path) -> None:
    facts, sentences, held_out = of_kind(tmp_path, "filler")
    for frame in (sentences, held_out):
        gone = frame[frame["replaced"]]
        assert len(gone) and gone[["fact", "phrasing", "prompt", "answer"]].isna().all(axis=None)
        assert not set(gone["text"]) & set(frame[~frame["replaced"] & frame["fact"].notna()]["text"])
        assert gone["text"].nunique() > 0.8 * len(gone)
    assert (facts["sentences"] == facts["clean"]).all() and (facts["replaced"] == 0).all()


@pytest.mark.parametrize("kind", ["wrong", "filler"])
def test_sentences_of_every_kind_of_noise_can_be_trained_on(tmp_path: Path, kind: str) -> None:
    facts, sentences, _ = of_kind(tmp_path, kind)
    _, clean, _ = made(tmp_path / "clean", noise={"level": 0, "frequent_share": 0.2})
    texts = tokenizer_texts(sentences, facts)
    # With false answers a tokenizer is that of the corpus without noise; filler has other sentences.
    assert (texts == clean["text"].tolist()) == (kind == "wrong")
    read = read_sentences(sentences, facts, train_tokenizer(texts, 400, False, 64), 64)
    assert [bool(sentence.answer) for sentence in read] == sentences["fact"].notna().tolist()


def test_false_answers_need_a_relation_of_several_answers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"have one answer\. Lower corpus\.minimum_population"):
        of_kind(tmp_path, "wrong", relations=["continent"], minimum_population=1_000_000_000)
