"""From an entry to rows.parquet and card.json."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser.errors import UserError
from laser.io.files import read_json, read_parquet, read_spec
from laser.tasks import prepare as prepare_module
from laser.tasks.example import Example
from laser.tasks.prepare import prepare, split_corrected, split_published, to_rows, without_bad_rows
from laser_audit.splits import expected_sides, used_sides

COLUMNS = [
    *("id", "group", "text", "prompt", "answer", "options", "split_published", "split_corrected", "answer_in_prompt"),
    *("subject", "relation", "phrasing", "frequency"),
]


def source(folder, rows, split="train"):
    folder.mkdir(exist_ok=True)
    path = folder / f"{split}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"kind": "local", "files": {split: str(path)}}


def facts(count, paraphrases=2):
    return [
        {
            "case_id": case,
            "requested_rewrite": {"prompt": "{} speaks", "subject": f"S{case}", "target_true": {"str": f"A{case % 3}"}},
            "paraphrase_prompts": [f"P{number} S{case}" for number in range(paraphrases)],
        }
        for case in range(count)
    ]


@pytest.fixture
def entry(tmp_path):
    return {"name": "mine", "builder": "counterfact", "sources": [source(tmp_path / "data", facts(11))]}


def test_the_first_validation_rows_are_used_and_groups_stay_whole(entry, tmp_path):
    """Of 6 validation rows in groups of 3: published takes rows, corrected whole groups; test rows stay."""
    kept = {1: (1, 3), 2: (2, 3), 3: (3, 3), 5: (5, 3), 6: (6, 6), 60: (6, 6)}
    for most, sizes in kept.items():
        card = prepare(entry | {"validation_rows": most}, tmp_path / str(most))
        assert (card["rows"], card["validation_rows"]) == (33, most)
        frame = read_parquet(tmp_path / str(most) / "rows.parquet")
        records = frame.to_dict("records")
        expected = used_sides(records, expected_sides(records), most)
        for protocol, size in zip(("published", "corrected"), sizes, strict=True):
            assert card["splits"][protocol] == {"validation": size, "test": 27}
            sides = list(frame[f"split_{protocol}"])
            assert sides == ["validation"] * size + ["unused"] * (6 - size) + ["test"] * 27 == expected[protocol]


def test_rows_and_card(entry, tmp_path):
    card = prepare(entry, tmp_path / "out")
    frame = read_parquet(tmp_path / "out" / "rows.parquet")
    assert list(frame.columns) == COLUMNS
    assert len(frame) == card["rows"] == 33
    assert read_json(tmp_path / "out" / "card.json") == card
    assert read_spec(tmp_path / "out" / "rows.parquet") == entry == card["spec"]
    # 0.2 * 33 = 6.6 rows, and 0.2 * 11 = 2.2 groups.
    assert card["splits"] == {
        "published": {"validation": 6, "test": 27},
        "corrected": {"validation": 6, "test": 27},
    }
    assert (frame["split_published"] == ["validation"] * 6 + ["test"] * 27).all()
    assert card["groups"] == 11
    assert card["paper_rows"] == 65757
    assert card["difference_from_paper"] == 33 - 65757
    assert card["limit"] is None
    assert len(card["rows_sha256"]) == 64
    assert card["source"]["read"]


def test_published_split_may_cut_a_group_and_the_corrected_one_never_does(tmp_path):
    entry = {"name": "mine", "builder": "counterfact", "sources": [source(tmp_path / "data", facts(13))]}
    prepare(entry, tmp_path / "out")
    frame = read_parquet(tmp_path / "out" / "rows.parquet")
    sides = frame.groupby("group")[["split_published", "split_corrected"]].nunique()
    assert sides["split_corrected"].max() == 1
    assert sides["split_published"].max() == 2


@given(st.integers(0, 500))
def test_published_split_is_a_prefix(count):
    sides = split_published(count)
    cut = sides.count("validation")
    assert sides == ["validation"] * cut + ["test"] * (count - cut)
    assert cut == count // 5


@given(st.lists(st.sampled_from("abcdefghijklm")))
def test_corrected_split_keeps_groups_whole_in_order_of_first_appearance(groups):
    sides = split_corrected(groups)
    order = list(dict.fromkeys(groups))
    first = [group for group in order if sides[groups.index(group)] == "validation"]
    assert first == order[: len(order) // 5 if len(order) >= 5 else int(len(order) >= 2)]
    for group, side in zip(groups, sides, strict=True):
        assert (side == "validation") == (group in first)


def test_a_seed_shuffles_whole_groups_before_the_corrected_split_alone(entry, tmp_path):
    """The validation side is no prefix of the file any more, and its first rows are the first groups of that order."""
    plain, shuffled, again = ({}, {"split_seed": 3}, {"split_seed": 3, "validation_rows": 4})
    frames = []
    for number, keys in enumerate((plain, shuffled, again)):
        card = prepare(entry | keys, tmp_path / str(number))
        assert card["split_seed"] == keys.get("split_seed")
        frames.append(read_parquet(tmp_path / str(number) / "rows.parquet"))
    assert frames[0]["split_published"].equals(frames[1]["split_published"])
    first = [set(frame.loc[frame["split_corrected"] == "validation", "group"]) for frame in frames]
    assert len(first[0]) == len(first[1]) == 2 and first[0] != first[1]
    assert len(first[2]) == 1 and first[2] < first[1]
    for frame in frames[1:]:
        assert frame.groupby("group")["split_corrected"].nunique().max() == 1
    records = frames[2].to_dict("records")
    assert used_sides(records, expected_sides(records, 3), 4, 3)["corrected"] == list(frames[2]["split_corrected"])
    hashed = sorted(frames[1]["group"].unique(), key=lambda group: hashlib.sha256(f"3 {group}".encode()).hexdigest())
    assert first[1] == set(hashed[:2]) and first[2] == {hashed[0]}


def test_a_seed_has_nothing_to_shuffle_where_the_sides_are_given(tmp_path):
    for side in ("validation", "test"):
        (tmp_path / f"{side}.csv").write_text("question,answer\n" + "".join(f"{side} {n}?,a{n}\n" for n in range(5)))
    files = {side: str(tmp_path / f"{side}.csv") for side in ("validation", "test")}
    own = {"name": "mine", "builder": "generic", "sources": [{"kind": "local", "files": files}], "split_seed": 0}
    with pytest.raises(UserError, match=r"mine.*split_seed is 0.*a file for each side"):
        prepare(own, tmp_path / "out")


def test_answers_on_the_card(tmp_path):
    rows = [{"hard_text": f"Text {n}", "gender": int(n < 4)} for n in range(10)]
    entry = {"name": "b", "builder": "bios_gender", "sources": [source(tmp_path / "data", rows, "dev")]}
    card = prepare(entry, tmp_path / "out")
    assert card["answers"]["shares"] == {"male": 0.6, "female": 0.4}
    assert card["answers"]["test_shares"]["published"] == {"male": 0.75, "female": 0.25}
    assert card["answers"]["constant_answer"]["corrected"] == {"answer": "male", "accuracy_percent": 75.0}
    assert card["answers"]["distinct"] == 2


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("Is PARIS in it?", " Paris ", True),
        ("Is it?", "Paris", False),
        ("Do you know?", "no", False),
        ("Cafe\u0301 Central", "café", True),
        ("東京は首都ですか", "東京", True),
    ],
)
def test_answer_in_prompt_is_judged_as_the_corrected_protocol_judges(prompt, answer, expected):
    (row,) = to_rows([Example("1", "1", "t", prompt, answer)])
    assert row["answer_in_prompt"] is expected


def test_bad_rows_are_counted_named_and_left_out():
    examples = [
        Example("good", "g", "t", "prompt", "true", ("true", "false")),
        Example("empty", "g", "t", "  ", "true", ("true", "false")),
        Example("odd", "g", "t", "prompt", "maybe", ("true", "false")),
        Example("good", "g", "t", "another", "true", ("true", "false")),
        Example("mute", "g", "t", "prompt", " "),
    ]
    good, bad = without_bad_rows(examples)
    assert good == examples[:1]
    assert bad == {
        "empty prompt": {"count": 1, "first": ["empty"]},
        "answer not among the options": {"count": 1, "first": ["odd"]},
        "duplicate id": {"count": 1, "first": ["good"]},
        "empty answer": {"count": 1, "first": ["mute"]},
    }


def test_bad_rows_are_on_the_card(tmp_path):
    rows = [{"input": f"Q{n}", "target": "Yes"} for n in range(10)] + [{"input": "Q", "target": "Perhaps"}]
    entry = {"name": "w", "builder": "web_of_lies", "sources": [source(tmp_path / "data", rows)]}
    card = prepare(entry, tmp_path / "out")
    assert card["rows"] == 10
    assert card["bad_rows"]["answer not among the options"] == {"count": 1, "first": ["train-10"]}


def test_limit_keeps_the_first_and_marks_the_card(entry, tmp_path):
    whole = prepare(entry, tmp_path / "whole")
    card = prepare(entry | {"limit": 20}, tmp_path / "out")
    assert (card["rows"], card["limit"], card["rows_before_limit"]) == (20, 20, 33)
    assert card["difference_from_paper"] == whole["difference_from_paper"]
    first = read_parquet(tmp_path / "whole" / "rows.parquet")["id"][:20]
    assert list(read_parquet(tmp_path / "out" / "rows.parquet")["id"]) == list(first)


def test_too_few_rows_to_split(entry, tmp_path):
    with pytest.raises(UserError, match=r"3 row.s. in 1 group.s. give 0 validation .* split 'published'.*raise"):
        prepare(entry | {"limit": 3}, tmp_path / "out")
    assert not (tmp_path / "out" / "card.json").exists()


def test_equal_runs_give_equal_bytes(entry, tmp_path):
    prepare(entry, tmp_path / "one")
    prepare(entry, tmp_path / "two")
    for name in ("rows.parquet", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_schema_does_not_depend_on_the_values(entry, tmp_path):
    """A dataset without subjects, and one without options, have the same columns of the same types."""
    import pyarrow.parquet as pq

    rows = [{"input": f"Q{n}", "target": "Yes"} for n in range(10)]
    prepare(entry, tmp_path / "open")
    prepare({"name": "w", "builder": "web_of_lies", "sources": [source(tmp_path / "data", rows)]}, tmp_path / "choice")
    schemas = [pq.read_schema(tmp_path / name / "rows.parquet").remove_metadata() for name in ("open", "choice")]
    assert schemas[0] == schemas[1]
    assert str(schemas[0].field("options").type).startswith("list<")
    assert str(schemas[0].field("phrasing").type) == "int32"


def test_given_spec_goes_into_the_metadata(entry, tmp_path):
    spec = {"dataset": entry, "code": "abc"}
    prepare(entry, tmp_path / "out", spec)
    assert read_spec(tmp_path / "out" / "rows.parquet") == spec


@pytest.mark.parametrize(
    ("fails", "left"), [("write_parquet", ["card.json", "rows.parquet"]), ("write_json", ["rows.parquet"])]
)
def test_a_card_never_stands_beside_rows_that_it_does_not_describe(entry, tmp_path, monkeypatch, fails, left):
    """Killed while writing rows: the old pair stands. Killed after that: rows without a card, which are made again."""
    folder = tmp_path / "out"
    prepare(entry, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(prepare_module, fails, fail)
        with pytest.raises(RuntimeError):
            prepare(entry | {"limit": 5}, folder)
    assert sorted(path.name for path in folder.iterdir()) == left
    assert ((folder / "rows.parquet").read_bytes() == before["rows.parquet"]) == ("card.json" in left)
    assert prepare(entry | {"limit": 5}, folder)["rows"] == 5 and (folder / "card.json").exists()


def test_failed_sources_are_on_the_card(entry, tmp_path):
    first = {"kind": "local", "files": {"train": str(tmp_path / "none.jsonl")}}
    card = prepare(entry | {"sources": [first, *entry["sources"]]}, tmp_path / "out")
    (failed,) = card["sources_failed"]
    assert failed["source"] == f"local {tmp_path / 'none.jsonl'}"
    assert failed["reason"].startswith("there is no file")
    assert card["source"]["files"] == entry["sources"][0]["files"]


def test_rows_filtered_by_the_builder_are_on_the_card(tmp_path):
    rows = [{"inputs": f"Q{n}", "targets": ["a"] * (1 + n % 2)} for n in range(20)]
    files = {}
    for split in ("validation", "train"):
        files |= source(tmp_path / "data", rows, split)["files"]
    entry = {"name": "q", "builder": "qa_wikidata", "sources": [{"kind": "local", "files": files}]}
    card = prepare(entry, tmp_path / "out")
    assert card["dropped_by_filter"] == {"more or less than one target": 20}
    assert card["rows"] == 20
    assert card["difference_from_paper"] == 20 - 20321
