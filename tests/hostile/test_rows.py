"""Whatever stands in a dataset's rows: they are prepared, or one message says why not."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser.errors import UserError
from laser.io.files import read_parquet
from laser.tasks.datasets import hotpotqa
from laser.tasks.prepare import prepare
from tests.hostile.odd import cases, mutated, odd, plain

COUNTRY = {
    **{"iso": "FR", "name": "France", "capital": "Paris", "continentcode": "EU", "currencycode": "EUR", "tld": ".fr"},
    **{"currencyname": "Euro", "phone": "33", "population": 66_987_244},
}
FACT = {"prompt": "{} is in", "subject": "Paris", "target_true": {"str": "France"}, "relation_id": "P17"}
TRUTH = {"choices": ["yes", "no"], "labels": [1, 0]}
ROWS = {
    "bios_gender": {"dev": {"hard_text": "She writes.", "gender": 1}},
    "bios_profession": {"dev": {"hard_text": "She writes.", "profession": 11}},
    "causal_judgment": {name: {"inputs": "Did he?", "targets": ["Yes"]} for name in ("validation", "train")},
    "counterfact": {"train": {"case_id": 1, "requested_rewrite": FACT, "paraphrase_prompts": ["a", "b"]}},
    "epistemic_reasoning": {name: {"inputs": "Then?", "targets": ["entailment"]} for name in ("validation", "train")},
    "fever": {name: {"claim": "It is so.", "label": 1} for name in ("paper_dev", "paper_test")},
    "hotpotqa": {name: {"question": "Who?", "answer": "Me"} for name in ("train", "validation")},
    "qa_wikidata": {name: {"inputs": "It lies in", "targets": ["Rome"]} for name in ("validation", "train")},
    "truthfulqa": {"validation": {"question": "Why?", "mc2_targets": TRUTH}},
    "web_of_lies": {"train": {"input": "Does he lie?", "target": "Yes"}},
    "worldfacts": {"countries": COUNTRY, "continents": {"code": "EU", "name": "Europe"}},
}
NUMBERED = {"case_id", "claim", "iso"}


def twelve(row):
    """Return twelve rows, told apart where the builder does."""
    made = []
    for number in range(12):
        one = copy.deepcopy(row)
        for key in NUMBERED & set(one):
            one[key] = number if key == "case_id" else f"{one[key][:1]}{chr(65 + number)}"
        made.append(one)
    return made


GOOD = {builder: {split: twelve(row) for split, row in splits.items()} for builder, splits in ROWS.items()}


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    """HotpotQA's filter needs a tokenizer; words do here."""
    with pytest.MonkeyPatch.context() as patch:
        words = lambda source, where: lambda text: {"input_ids": text.split()}  # noqa: E731
        patch.setattr(hotpotqa, "load_tokenizer", words)
        yield


def outcome(folder, builder, lines, options=None, sources=None):
    """Prepare the rows; return the message of a `UserError`, or an empty text."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {}
    for split, data in lines.items():
        files[split] = str(folder / f"{split}.jsonl")
        (folder / f"{split}.jsonl").write_bytes(data)
    needed = {"answer_tokenizer": {"kind": "local", "path": "x"}} if builder == "hotpotqa" else {}
    entry = {
        "name": builder,
        "builder": builder,
        "sources": [{"kind": "local", "files": files}] if sources is None else sources,
        "options": needed if options is None else options,
    }
    made = folder / "made"
    try:
        card = prepare(entry, made / "data")
    except UserError as error:
        assert 10 < len(str(error)) < 4_000
        return str(error)
    rows = read_parquet(made / "data/rows.parquet")
    assert len(rows) == card["rows"] == rows["id"].nunique()
    assert {one.name for one in made.iterdir()} <= {"data", ".data.lock"}
    return ""


def encoded(rows):
    """Write rows as JSON lines; escapes keep lone surrogates."""
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.mark.parametrize("builder", sorted(GOOD))
def test_good_rows_are_prepared(tmp_path, builder):
    assert outcome(tmp_path, builder, {split: encoded(rows) for split, rows in GOOD[builder].items()}) == ""


@st.composite
def changed(draw):
    builder = draw(st.sampled_from(sorted(GOOD)))
    return builder, draw(mutated(GOOD[builder], odd(surrogates=True)))


@cases(50, 3_000)
@given(changed())
def test_changed_rows_are_prepared_or_refused(tmp_path_factory, given_rows):
    builder, splits = given_rows
    if not isinstance(splits, dict):
        return
    rows = {
        split: rows if isinstance(rows, list) else [rows] for split, rows in splits.items() if split in GOOD[builder]
    }
    outcome(tmp_path_factory.getbasetemp() / "rows", builder, {split: encoded(one) for split, one in rows.items()})


@cases(12, 500)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 4_000), st.binary(max_size=6), st.integers(0, 10))
def test_damaged_bytes_are_prepared_or_refused(tmp_path_factory, builder, place, junk, cut):
    lines = {split: encoded(rows) for split, rows in GOOD[builder].items()}
    first = next(iter(lines))
    lines[first] = lines[first][:place] + junk + lines[first][place + cut :]
    outcome(tmp_path_factory.getbasetemp() / "bytes", builder, lines)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"claim": ' * 5_000, b"9" * 10_000, b"null", b"\x00", b"\xff" * 9])
def test_bombs_are_refused(tmp_path, data):
    assert outcome(tmp_path, "fever", {"paper_dev": data, "paper_test": data})


SOURCES = [{"kind": "local", "files": {"train": "x"}, "format": "jsonl"}]
HUB = {"kind": "hub", "repo": "a/b", "revision": "0" * 40, "files": {"train": "x.jsonl"}}
PAGE = {"kind": "https", "files": {"train": {"url": "https://nowhere.invalid/x", "sha256": "0" * 64, "bytes": 1}}}


@cases(30, 1_000)
@given(st.sampled_from([SOURCES, [HUB], [PAGE]]).flatmap(lambda one: mutated(one, plain(surrogates=True) | odd())))
def test_changed_sources_are_refused(tmp_path_factory, sources):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetch", "download"):
            patch.setattr(f"laser.tasks.sources.{name}", _no_network)
        folder = tmp_path_factory.getbasetemp() / "sources"
        assert outcome(folder, "web_of_lies", {}, {}, sources if isinstance(sources, list) else [sources])


def _no_network(*arguments, **settings):
    from laser.tasks.formats import SourceError

    raise SourceError("there is no network in this test")


OPTIONS = {
    "worldfacts": {"relations": ["capital"], "minimum_population": 5},
    "fever": {"prompt_fix": ["question_mark"]},
    "truthfulqa": {"prompt_fix": ["space"]},
}


@pytest.mark.parametrize("value", [[["x" * 99]] * 99, {"a": "x" * 9999}, 1.5, "x", -1, True], ids=list("abcdef"))
@pytest.mark.parametrize("key", ["relations", "minimum_population", "x" * 9_999], ids=["list", "number", "long"])
def test_messages_name_a_value_and_do_not_repeat_it(tmp_path, key, value):
    lines = {split: encoded(rows) for split, rows in GOOD["worldfacts"].items()}
    assert 10 < len(outcome(tmp_path, "worldfacts", lines, {key: value})) < 500


@cases(20, 700)
@given(st.sampled_from(sorted(OPTIONS)).flatmap(lambda name: st.tuples(st.just(name), mutated(OPTIONS[name], odd()))))
def test_changed_options_are_understood_or_refused(tmp_path_factory, given_options):
    builder, options = given_options
    lines = {split: encoded(rows) for split, rows in GOOD[builder].items()}
    if isinstance(options, dict):
        outcome(tmp_path_factory.getbasetemp() / "options", builder, lines, options)
