"""Rows from answers: what counts as right, what is not finite, and whose text a mask token is."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from laser.config.protocols import PROTOCOLS
from laser.evaluation.cell import Cell, no_rows, result_rows
from laser.io.files import write_parquet
from laser.results.columns import read_columns
from laser.tasks.definitions import definition
from laser.tasks.example import Example
from laser.tasks.passes import TOP, Answers, PassAnswer
from laser.tasks.questions import ask
from laser.tasks.scoring import score
from tests import tiny

PUBLISHED, CORRECTED = PROTOCOLS["published"], PROTOCOLS["corrected"]


def uncased():
    """A tokenizer that lowers the case and takes off accents, as uncased BERT's does."""
    words = ["[PAD]", "[MASK]", "[UNK]", "the", "capital", "is", "bogota", "paris", ".", "no", *map(str, range(20))]
    built = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(lowercase=True)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=built, mask_token="[MASK]", pad_token="[PAD]", unk_token="[UNK]")


def answered(questions, values=None, best=()):
    """Answers in which every query has log-probability −1 and rank 3, and `best` are the most probable tokens."""
    passes = []
    for one in questions.requests.passes:
        top = (tuple(best) + tuple(range(100, 100 + TOP)))[:TOP]
        passes.append(
            PassAnswer(
                logprobs=values or (-1.0,) * len(one.queries),
                ranks=(3,) * len(one.queries),
                top_ids=(top,) * len(one.top),
                top_logprobs=((-0.5,) * TOP,) * len(one.top),
            )
        )
    return Answers(passes, [(5, 6)] * len(questions.requests.generations))


def fact(answer, prompt="The capital is", options=()):
    return Example("a", "a", prompt, prompt, answer, options)


def masked(*examples, name="counterfact"):
    return ask(definition(name), examples, uncased(), "masked", "bert")


def test_an_answer_of_one_token_is_right_when_its_own_token_is_first():
    tokenizer, asked = uncased(), masked(fact(" Bogotá"))
    answers = answered(asked, best=(tokenizer.convert_tokens_to_ids("bogota"),))
    (row,) = score(asked, answers, tokenizer, CORRECTED)
    assert row.prediction == "bogota" and row.correct and row.in_top5 and row.in_top10
    (row,) = score(asked, answers, tokenizer, PUBLISHED)
    assert not row.correct and not row.in_top5
    (row,) = score(asked, answered(asked, best=(tokenizer.convert_tokens_to_ids("paris"),)), tokenizer, CORRECTED)
    assert not row.correct and not row.in_top5


def test_the_text_of_the_first_token_still_counts():
    """Another token may be written alike: "Paris" beside " Paris"."""
    tokenizer = tiny.tokenizer()
    asked = ask(definition("counterfact"), [fact(" a")], tokenizer, "causal", "gptj")
    other = tokenizer.convert_tokens_to_ids("A")
    assert asked.requests.passes[0].queries[0][1] != other
    for protocol in (PUBLISHED, CORRECTED):
        (row,) = score(asked, answered(asked, best=(other,)), tokenizer, protocol)
        assert row.correct and row.in_top5


def test_an_answer_of_several_tokens_needs_each_of_them_to_be_the_most_probable():
    """Equal logits give every token rank 1: only one of them is the most probable one that the model would say."""
    tokenizer = tiny.tokenizer()
    asked = ask(definition("counterfact"), [fact(" Bogota Bogota")], tokenizer, "causal", "gptj")
    tokens = [token for _, token in asked.requests.passes[0].queries]
    assert len(tokens) > 2
    ranked = replace(answered(asked).passes[0], ranks=(1,) * len(tokens))
    right = replace(ranked, top_ids=tuple((token, *range(100, 109)) for token in tokens))
    last_wrong = replace(right, top_ids=(*right.top_ids[:-1], tuple(range(100, 110))))
    for protocol in (PUBLISHED, CORRECTED):
        for passes, expected in ((right, True), (last_wrong, False), (ranked, False)):
            assert score(asked, Answers([passes]), tokenizer, protocol)[0].correct is expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("protocol", [PUBLISHED, CORRECTED])
@pytest.mark.parametrize(
    ("name", "family", "options"),
    [
        ("counterfact", "gptj", ()),
        ("fever", "gptj", ("true", "false")),
        ("bios_gender", "llama", ("male", "female")),
    ],
)
def test_a_row_that_is_not_finite_is_wrong_without_loss_and_rank(name, family, options, protocol, value):
    tokenizer = tiny.tokenizer()
    asked = ask(definition(name), [fact(options[0] if options else " a", options=options)], tokenizer, "causal", family)
    for place in range(len(asked.requests.passes[0].queries)):
        answers = answered(asked, best=(asked.requests.passes[0].queries[0][1],))
        values = list(answers.passes[0].logprobs)
        values[place] = value
        answers.passes[0] = replace(answers.passes[0], logprobs=tuple(values), ranks=(1,) * len(values))
        (row,) = score(asked, answers, tokenizer, protocol)
        assert not row.correct and row.answer_rank is None and not row.in_top5 and not row.in_top10
        assert math.isnan(row.loss) and math.isnan(row.logprob) and row.prediction == ""
        assert row.answer_tokens == asked.items[0].lengths[0]


def test_a_generation_without_a_most_probable_token_is_wrong():
    """The first token of a vocabulary is what an arg max over NaN gives: no answer that reads like it may be right."""
    tokenizer = tiny.tokenizer()
    asked = ask(definition("counterfact"), [fact("!")], tokenizer, "causal", "llama")
    answers = answered(asked, best=(5,))
    for tokens, expected in (((tokenizer.convert_tokens_to_ids("!"),), True), (None, False)):
        answers.generations = [tokens]
        (row,) = score(asked, answers, tokenizer, CORRECTED)
        assert row.correct is expected
        assert math.isfinite(row.loss) is expected and (row.answer_rank is not None) is expected


def test_the_best_tokens_of_five_masks_have_to_be_finite_too():
    tokenizer, asked = uncased(), masked(fact("no"), name="qa_wikidata")
    answers = answered(asked, best=(tokenizer.convert_tokens_to_ids("no"),))
    assert score(asked, answers, tokenizer, CORRECTED)[0].correct
    five = answers.passes[0]
    answers.passes[0] = replace(five, top_logprobs=(*five.top_logprobs[:4], (math.nan,) * TOP))
    assert score(asked, answers, tokenizer, CORRECTED)[0].answer_rank is None


def test_rows_that_are_not_finite_are_kept_on_file_without_loss_and_rank(tmp_path):
    tokenizer = tiny.tokenizer()
    examples = [replace(fact(" a"), id=name) for name in ("first", "second")]
    asked = ask(definition("counterfact"), examples, tokenizer, "causal", "gptj")
    answers = answered(asked, best=(asked.requests.passes[0].queries[0][1],))
    cell = Cell({}, type("Loaded", (), {"tokenizer": tokenizer})(), asked, {"corrected": {"first", "second"}}, None)
    whole = result_rows(cell, answers, "corrected")
    answers.passes[1] = replace(answers.passes[1], logprobs=(math.nan,))
    gaps = result_rows(cell, answers, "corrected")
    for frame, count in ((whole, 0), (gaps, 1), (pd.concat([no_rows({"protocol": ""}), gaps, whole]), 1)):
        write_parquet(tmp_path / "rows.parquet", frame, {})
        found = read_columns(tmp_path / "rows.parquet", list(frame.columns))
        assert list(found["loss"].isna()) == list(found["answer_rank"].isna()) == list(frame["loss"].isna())
        assert found["loss"].isna().sum() == count
        assert not (found.loc[found["loss"].isna(), "answer_rank"] <= 10).any()


@pytest.mark.parametrize(
    ("name", "values", "prediction"),
    [
        ("fever", (-1.0, -1.0), ""),  # compared strictly in the released code: a tie is wrong
        ("fever", (-1.0, -2.0), "true"),
        ("fever", (-2.0, -1.0), "false"),
        ("bios_gender", (-1.0, -1.0), ""),
        ("truthfulqa", (-1.0, -1.0), ""),
        ("causal_judgment", (-1.0, -1.0), "Yes"),  # an arg max: the first wins
        ("causal_judgment", (-2.0, -1.0), "No"),
        ("web_of_lies", (-1.0, -1.0), "Yes"),
    ],
)
@pytest.mark.parametrize("protocol", [PUBLISHED, CORRECTED])
def test_ties_between_options(name, values, prediction, protocol):
    tokenizer, options = tiny.tokenizer(), definition(name).options
    for gold in options:
        asked = ask(definition(name), [fact(gold, options=options)], tokenizer, "causal", "llama")
        answers = Answers(
            [
                PassAnswer(
                    logprobs=values if asked.shared_pass else (value, *(0.0,) * (len(one.queries) - 1)),
                    ranks=(1,) * max(2, len(one.queries)),
                )
                for one, value in zip(asked.requests.passes, values, strict=False)
            ]
        )
        if not asked.shared_pass and len(set(asked.items[0].lengths)) > 1:
            pytest.skip("options of several lengths are not compared by these values")
        (row,) = score(asked, answers, tokenizer, protocol)
        assert row.prediction == prediction and row.correct is (prediction == gold)


@pytest.mark.parametrize(("text", "published", "corrected"), [("I know.", True, False), ("It is no.", True, True)])
def test_an_answer_within_a_word_counts_in_the_released_code_alone(text, published, corrected):
    tokenizer = tiny.tokenizer()
    asked = ask(definition("counterfact"), [fact(" no")], tokenizer, "causal", "llama")
    answers = answered(asked)
    answers.generations = [tuple(tokenizer(f" {text}", add_special_tokens=False)["input_ids"])]
    assert score(asked, answers, tokenizer, PUBLISHED)[0].correct is published
    assert score(asked, answers, tokenizer, CORRECTED)[0].correct is corrected


def test_the_prompt_is_searched_in_the_released_code_alone():
    tokenizer = tiny.tokenizer()
    asked = ask(
        definition("counterfact"), [fact(" Paris", prompt="Is Paris in France? It")], tokenizer, "causal", "llama"
    )
    answers = answered(asked)
    answers.generations = [tuple(tokenizer(" is", add_special_tokens=False)["input_ids"])]
    rows = [score(asked, answers, tokenizer, protocol)[0] for protocol in (PUBLISHED, CORRECTED)]
    assert [row.correct for row in rows] == [True, False] and rows[0].prediction == rows[1].prediction == " is"


@pytest.mark.parametrize("name", ["counterfact", "qa_wikidata", "fever", "epistemic_reasoning"])
def test_a_mask_token_of_the_text_is_named_and_left_out(name):
    options = definition(name).options
    answer = options[0] if options else "no"
    good = replace(fact(answer, options=options), id="good")
    bad = [
        replace(good, id="prompt", text="The [MASK] is", prompt="The [MASK] is"),
        replace(good, id="beside", text="The[MASK]is", prompt="The[MASK]is"),
        replace(good, id="answer", answer="[MASK]", options=("[MASK]", *options[1:])),
        replace(good, id="options", options=(*options, "a [MASK]") if options else ("no", "[MASK]")),
    ]
    asked = masked(good, *bad, name=name)
    assert [one.example.id for one in asked.items] == ["good"]
    assert list(asked.left_out) == [one.id for one in bad]
    assert all("[MASK]" in reason for reason in asked.left_out.values())


def test_a_mask_of_another_tokenizer_is_text():
    asked = masked(fact("no", prompt="The <mask> is"))
    assert len(asked.items) == 1 and not asked.left_out
