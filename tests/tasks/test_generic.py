"""Rows of one's own: what a table becomes, and the one message for a table that cannot be used."""

import json
from pathlib import Path

import pandas as pd
import pytest

from laser.config.entries import StudyDataset
from laser.config.own_rows import own_rows
from laser.config.validation import check
from laser.errors import UserError
from laser.io.files import read_parquet
from laser.tasks.planned import check_sources
from laser.tasks.prepare import build_rows, prepare
from laser.tasks.sources import files_of_split

OPEN = [(f"q{number}", f"a{number}") for number in range(8)]
CHOICES = [(f"q{number}", "ABCD"[number % 4], *(f"{word}{number}" for word in "wxyz")) for number in range(8)]
LETTERS = ("question", "answer", "A", "B", "C", "D")


def table(names, rows, separator=","):
    return "".join(separator.join(map(str, cells)) + "\n" for cells in (names, *rows))


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def entry(files, **keys):
    """Return a dataset's entry as a study has it, checked and resolved."""
    given = {"name": "mine", "builder": "generic", "source": {"kind": "local", "files": files}} | keys
    check(given, StudyDataset, Path("study.yaml"))
    return {"options": {}, "limit": None} | own_rows(given, "study.yaml: datasets[0]")


def rows_of(tmp_path, content, name="rows.csv", **keys):
    """Return the rows of a file, after the check of its header."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    resolved = entry(str(path), **keys)
    check_sources(resolved, "dataset 'mine'")
    return build_rows(resolved).rows


def card_of(tmp_path, content, name="rows.csv", **keys):
    (tmp_path / name).write_text(content)
    return build_rows(entry(str(tmp_path / name), **keys)).card


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (table(("question", "answer"), OPEN), "rows.csv"),
        (b"\xef\xbb\xbf" + table(("question", "answer"), OPEN).encode(), "rows.csv"),
        (table(("Question", " Answer "), OPEN).replace("\n", "\r\n"), "rows.CSV"),
        (table(("prompt", "target"), OPEN, ";"), "rows.csv"),
        (table(("input", "label"), OPEN, "\t"), "rows.tsv"),
        (table(("question", "answer"), OPEN, "\t").encode("utf-16"), "rows.csv"),
        (table(("", "question", "answer"), [(number, *row) for number, row in enumerate(OPEN)]), "rows.csv"),
        (lines(*({"question": question, "answer": answer} for question, answer in OPEN)), "rows.jsonl"),
        (lines(*({"question": question, "answer": answer} for question, answer in OPEN)), "rows.json"),
        (json.dumps([{"question": question, "answer": answer} for question, answer in OPEN]), "rows.json"),
    ],
)
def test_tables_of_every_format_give_the_same_rows(tmp_path, content, name):
    rows = rows_of(tmp_path, content, name, prompt="Q: {question}\nA:")
    assert [row["prompt"] for row in rows] == [f"Q: {question}\nA:" for question, _ in OPEN]
    assert [row["answer"] for row in rows] == [answer for _, answer in OPEN]
    assert [row["split_corrected"] for row in rows] == ["validation"] + ["test"] * 7


def test_parquet_with_gaps_and_numbers(tmp_path):
    frame = pd.DataFrame({"question": ["a", "b", None, *"defg"], "answer": [1999.0, 2.5, 3.0, None, 5.0, 6.0, 7.0]})
    frame.to_parquet(tmp_path / "rows.parquet")
    made = build_rows(entry(str(tmp_path / "rows.parquet")))
    assert [row["answer"] for row in made.rows] == ["1999", "2.5", "5", "6", "7"]
    assert made.card["dropped_by_filter"] == {"no question": 1, "no answer": 1}


def test_default_prompts(tmp_path):
    assert rows_of(tmp_path, table(("question", "answer"), OPEN))[0]["prompt"] == "Question: q0\nAnswer:"
    assert rows_of(tmp_path, table(("prompt", "answer"), OPEN))[0]["prompt"] == "q0"


def test_texts_are_kept_whatever_they_hold(tmp_path):
    odd = ['"What is {answer}, or {question}?"', '"say ""yes"", or no"', '"two\nlines"', "Zürich 金 😀", "=1+1", "NA"]
    content = table(("question", "answer"), [(text, f"a{number}") for number, text in enumerate(odd)])
    rows = rows_of(tmp_path, content, prompt="{{x}} {question}")
    assert [row["text"] for row in rows] == [
        *("What is {answer}, or {question}?", 'say "yes", or no', "two\nlines", "Zürich 金 😀", "=1+1", "NA")
    ]
    assert rows[0]["prompt"] == "{x} What is {answer}, or {question}?"


@pytest.mark.parametrize(
    ("content", "name", "keys"),
    [
        (table(("question", "answer"), [("q0", '"[""Paris"", ""City""]"'), *OPEN[1:]]), "rows.csv", {}),
        (table(("question", "answer"), [("q0", "\"['Paris', 'City']\""), *OPEN[1:]]), "rows.csv", {}),
        (
            table(("question", "answer", "also"), [("q0", "Paris", "City"), *((*row, "") for row in OPEN[1:])]),
            "rows.csv",
            {"columns": {"answer": ["answer", "also"]}},
        ),
        (
            lines({"question": "q0", "answer": ["Paris", "City"]}, *({"question": q, "answer": [a]} for q, a in OPEN)),
            "rows.jsonl",
            {},
        ),
        (
            lines(*({"question": q, "answers": {"text": ["Paris", "City"], "answer_start": [1, 2]}} for q, _ in OPEN)),
            "rows.jsonl",
            {},
        ),
    ],
)
def test_several_right_answers(tmp_path, content, name, keys):
    row = rows_of(tmp_path, content, name, **keys)[0]
    assert (row["answer"], row["other_answers"]) == ("Paris", ["City"])


@pytest.mark.parametrize(
    ("content", "name", "keys"),
    [
        (table(LETTERS, CHOICES), "rows.csv", {}),
        (table(LETTERS, [(q, f"({a.lower()})", *o) for q, a, *o in CHOICES]), "rows.csv", {"answer_is": "letter"}),
        (table(LETTERS, [(q, "ABCD".index(a), *o) for q, a, *o in CHOICES]), "rows.csv", {"answer_is": "index"}),
        (table(LETTERS, [(q, o["ABCD".index(a)], *o) for q, a, *o in CHOICES]), "rows.csv", {}),
        (table(("question", "answer", *(f"option_{n}" for n in range(1, 5))), CHOICES), "rows.csv", {}),
        (
            table(("q", "right", *(f"o{n}" for n in range(4))), CHOICES),
            "rows.csv",
            {"columns": {"question": "q", "answer": "right", "options": ["o0", "o1", "o2", "o3"]}},
        ),
        (lines(*({"question": q, "answer": a, "choices": o} for q, a, *o in CHOICES)), "rows.jsonl", {}),
        (
            lines(
                *(
                    {"question": q, "answer": 1 + "ABCD".index(a), "choices": {"text": o, "label": list("1234")}}
                    for q, a, *o in CHOICES
                )
            ),
            "rows.jsonl",
            {"answer_is": "letter"},
        ),
        *(
            (lines(*({"question": q, "answerKey": a, "choices": form(o)} for q, a, *o in CHOICES)), "rows.jsonl", {})
            for form in (
                lambda o: [{"label": letter, "text": option} for letter, option in zip("ABCD", o, strict=True)],
                lambda o: dict(zip("ABCD", o, strict=True)),
                lambda o: json.dumps(dict(zip("ABCD", o, strict=True))),
            )
        ),
        (
            lines(*({"question": q, "answer": a, "options": json.dumps(o)} for q, a, *o in CHOICES)),
            "rows.jsonl",
            {"scoring": "options"},
        ),
    ],
)
def test_options_of_every_form(tmp_path, content, name, keys):
    rows = rows_of(tmp_path, content, name, **keys)
    assert [row["options"] for row in rows] == [options for _, _, *options in CHOICES]
    assert [row["answer"] for row in rows] == [options["ABCD".index(answer)] for _, answer, *options in CHOICES]


def test_options_may_differ_in_number_and_stand_in_the_prompt(tmp_path):
    content = table(LETTERS, [*CHOICES, ("q8", "D", 1, 2, "", 4)])
    row = rows_of(tmp_path, content, prompt="{question} {A}\n{options}\nAnswer:")[-1]
    assert row["options"] == ["1", "2", "4"] and row["answer"] == "4"
    assert row["prompt"] == "q8 1\nA. 1\nB. 2\nD. 4\nAnswer:"


@pytest.mark.parametrize("names", ["ab", "AB"])
@pytest.mark.parametrize("cells", [lambda n: (n, 2 * n + 1), lambda n: (f"word {n}", f"other {n}")])
def test_columns_that_letters_merely_name_are_no_options_unless_answers_name_them(tmp_path, names, cells):
    sums = [(f"q{number}", 3 * number + 10, *cells(number)) for number in range(8)]
    rows = rows_of(tmp_path, table(("question", "answer", *names), sums), prompt=f"{{{names[0]}}} + {{{names[1]}}} =")
    assert [row["options"] for row in rows] == [[]] * 8
    assert [row["answer"] for row in rows] == [str(3 * number + 10) for number in range(8)]
    assert rows[1]["prompt"] == " + ".join(map(str, cells(1))) + " ="
    with pytest.raises(UserError, match="column 'answer': is '10', which is none of its"):
        rows_of(tmp_path, table(("question", "answer", *names), sums), scoring="options", answer_is="text")


@pytest.mark.parametrize(
    ("options", "answer", "right"),
    [
        (("Yes", "No"), "YES", "Yes"),
        (("New  Delhi", "Delhi"), "new delhi", "New  Delhi"),
        (("yes", "Yes"), "Yes", "Yes"),
        (("3", "4"), "3.0", "3"),
        (("+3", "4"), "3", "+3"),
        (("007", "008"), "7", "007"),
        (("Ｔｏｋｙｏ", "Kyoto"), "tokyo", "Ｔｏｋｙｏ"),
    ],
)
def test_an_answer_is_the_option_that_differs_in_its_writing_alone(tmp_path, options, answer, right):
    content = lines(*({"question": f"q{n}", "answer": answer, "options": options} for n in range(8)))
    assert {row["answer"] for row in rows_of(tmp_path, content, "rows.jsonl", answer_is="text")} == {right}


def test_an_answer_that_is_written_like_two_options_is_neither(tmp_path):
    content = lines(*({"question": f"q{n}", "answer": "yes", "options": ["Yes", "YES"]} for n in range(8)))
    with pytest.raises(UserError, match="is 'yes', which is none of its options: Yes, YES"):
        rows_of(tmp_path, content, "rows.jsonl", answer_is="text")


def test_an_index_may_have_the_fraction_that_tables_with_gaps_add(tmp_path):
    content = table(NAMED, [(q, f"{'ABCD'.index(a)}.0", *o) for q, a, *o in CHOICES])
    assert [row["answer"] for row in rows_of(tmp_path, content)] == [
        options["ABCD".index(answer)] for _, answer, *options in CHOICES
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_within_cells_are_line_feeds(tmp_path, line_end):
    content = line_end.join(["question,answer", *(f'"first{line_end}second {n}","a{n} "' for n in range(8))])
    row = rows_of(tmp_path, content)[1]
    assert (row["text"], row["answer"]) == ("first\nsecond 1", "a1")


def test_a_name_in_braces_is_the_column_of_that_name(tmp_path):
    content = table(("sentence", "question", "answer"), [(f"s{n}", f"q{n}", f"a{n}") for n in range(8)])
    keys = {"columns": {"question": "sentence"}}
    assert rows_of(tmp_path, content, **keys)[0]["prompt"] == "s0"
    assert rows_of(tmp_path, content, prompt="{sentence} {question}", **keys)[0]["prompt"] == "s0 q0"
    renamed = content.replace("question", "asked", 1)
    assert rows_of(tmp_path, renamed, prompt="{question} {asked}", **keys)[0]["prompt"] == "s0 q0"


def test_options_that_are_not_scored(tmp_path):
    row = rows_of(tmp_path, table(LETTERS, CHOICES), scoring="generate")[1]
    assert (row["options"], row["answer"]) == ([], "x1")
    assert rows_of(tmp_path, table(("question", "answer"), OPEN), scoring="next_token")[0]["answer"] == " a0"


def test_constant_answers_are_options_of_a_place(tmp_path):
    card = card_of(tmp_path, table(LETTERS, [(q, "C", *options) for q, _, *options in CHOICES]))
    assert card["answers"]["constant_answer"]["corrected"] == {"answer": "C", "accuracy_percent": 100.0}
    assert card["answers"]["shares"] == {"C": 1.0}


def test_rows_that_ask_the_same_are_pointed_out(tmp_path):
    names = ("question", "answer", "subject")
    facts = [(f"wording {number}", "Rome" if number % 2 else "Oslo", f"s{number // 2}") for number in range(6)]
    assert card_of(tmp_path, table(names, facts))["alike"] == {"count": 0, "first": []}
    facts += [("again", "Rome", "s0")]
    assert card_of(tmp_path, table(names, facts))["alike"] == {"count": 2, "first": [["2", "7"]]}
    grouped = table((*names, "group"), [(*fact, fact[2]) for fact in facts])
    assert card_of(tmp_path, grouped)["alike"]["count"] == 0
    assert card_of(tmp_path, table(("question", "answer"), [*OPEN, OPEN[2]]))["alike"]["first"] == [["3", "9"]]


def test_ids_and_groups(tmp_path):
    names = ("id", "question", "answer", "fact")
    rows = [(f"n{number}", *row, f"f{number // 2}") for number, row in enumerate(OPEN)]
    made = rows_of(tmp_path, table(names, rows), columns={"group": "fact"})
    assert [row["id"] for row in made] == [f"n{number}" for number in range(8)]
    assert [row["group"] for row in made] == [f"f{number // 2}" for number in range(8)]
    twice = table(names, [("n", *row[1:]) for row in rows])
    assert [row["id"] for row in rows_of(tmp_path, twice)] == [str(number) for number in range(1, 9)]


def test_too_few_rows_say_what_was_dropped(tmp_path):
    with pytest.raises(UserError, match=r"0 row\(s\).*; dropped: 8 \(no answer\)") as caught:
        rows_of(tmp_path, table(("question", "answer"), [(question, "") for question, _ in OPEN]))
    assert "limit" not in str(caught.value)


def test_a_column_with_one_group_cannot_split(tmp_path):
    content = table(("question", "answer", "group"), [(*row, "all") for row in OPEN])
    with pytest.raises(UserError, match=r"column 'group': all rows are of the group 'all'.*columns: \{group: …\}"):
        rows_of(tmp_path, content)
    by_question = rows_of(tmp_path, content, columns={"group": "question"})
    assert [row["split_corrected"] for row in by_question] == ["validation"] + ["test"] * 7


def test_files_for_both_sides(tmp_path):
    (tmp_path / "v.csv").write_text(table(("question", "answer"), OPEN[:2]))
    (tmp_path / "t.csv").write_text(table(("question", "answer"), OPEN[2:]))
    given = entry({"validation": str(tmp_path / "v.csv"), "test": str(tmp_path / "t.csv")})
    card = prepare(given, tmp_path / "made")
    frame = read_parquet(tmp_path / "made/rows.parquet")
    for protocol in ("published", "corrected"):
        assert list(frame[f"split_{protocol}"]) == ["validation"] * 2 + ["test"] * 6
        assert card["splits"][protocol] == {"validation": 2, "test": 6}
    assert [row["text"] for row in build_rows(given | {"limit": 5}).rows] == ["q0", "q2", "q3", "q4", "q5"]
    (tmp_path / "t.csv").write_text(table(("question", "answer", "group"), [(*row, "g") for row in OPEN[2:]]))
    (tmp_path / "v.csv").write_text(table(("question", "answer", "group"), [(*row, "g") for row in OPEN[:2]]))
    with pytest.raises(UserError, match="group 'g' stands in the file of validation and in that of test"):
        build_rows(given)


OPEN_HEAD = ("question", "answer")
NAMED = ("question", "answer", *(f"option_{letter}" for letter in "abcd"))


@pytest.mark.parametrize(
    ("content", "name", "keys", "message"),
    [
        (b"question,answer\nO\xf9?,b\n", "rows.csv", {}, r"rows.csv, line 2: is not UTF-8 \(byte 0xf9\).*iconv"),
        (table(OPEN_HEAD, [*OPEN, ('"q', "a")]), "rows.csv", {}, "rows.csv, line 10: cannot be read as csv"),
        (table(OPEN_HEAD, [*OPEN, ("a", "b", "c")]), "rows.csv", {}, r"row 9 \(line 10\): has 3 cells.*2 columns"),
        (table(OPEN_HEAD, [*OPEN, ("a",)]), "rows.csv", {}, r"row 9 \(line 10\): has 1 cells"),
        (table(("question", "question"), OPEN), "rows.csv", {}, "names the column 'question' twice"),
        ("", "rows.csv", {}, "rows.csv is empty"),
        ("question,answer\n", "rows.csv", {}, "has no rows"),
        ("{}", "rows.xlsx", {}, "its ending does not name a format.*csv"),
        ("{bad", "rows.jsonl", {}, "rows.jsonl, line 1: cannot be read as jsonl"),
        (table(("frage", "antwort"), OPEN), "rows.csv", {}, "no column named question.*Its columns: frage, antwort"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"columns": {"answer": "anser"}}, "columns.answer is 'anser'.*'answer'"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"columns": {"group": "fact"}}, "columns.group is 'fact'"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"prompt": "{qestion}"}, r"prompt holds '\{qestion\}'.*'question'"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"prompt": "Why?"}, "has no column in braces"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"scoring": "options"}, "no column holds them"),
        (table(OPEN_HEAD, OPEN), "rows.csv", {"answer_is": "letter"}, "answer_is is 'letter', but no column"),
        (
            table(LETTERS, [*CHOICES, ("q", "E", 1, 2, 3, 4)]),
            "rows.csv",
            {},
            r"row 9 \(line 10\), column 'answer': is 'E'",
        ),
        (table(LETTERS, [*CHOICES, ("q", "C", 1, 2, "", 4)]), "rows.csv", {}, "none of its letters: A, B, D"),
        (table(LETTERS, [*CHOICES, ("q", "C", 1, 2, 2, 4)]), "rows.csv", {}, "offers '2' twice"),
        (table(LETTERS, [*CHOICES, ("q", "A", 1, "", "", "")]), "rows.csv", {}, r"holds 1 option\(s\)"),
        (table(LETTERS, CHOICES), "rows.csv", {"answer_is": "index"}, "column 'answer': is 'A'.*counted from 0"),
        (table(NAMED, [(q, "?", *o) for q, _, *o in CHOICES]), "rows.csv", {}, "answer_is: letter, index or text"),
        (
            table(LETTERS, [(q, number % 3 + 1, *o) for number, (q, _, *o) in enumerate(CHOICES)]),
            "rows.csv",
            {},
            "none is 0, so that they may count options from 1.*answer_is: index",
        ),
        (
            table(("id", *OPEN_HEAD), [("i", *row) for row in OPEN]),
            "rows.csv",
            {"columns": {"id": "id"}},
            "as in .*row 1",
        ),
        (lines({"question": {"a": 1}, "answer": "b"}), "rows.jsonl", {}, "row 1, column 'question'"),
        (lines({"question": "a", "answer": [["b"]]}), "rows.jsonl", {}, "row 1, column 'answer'"),
        (table(OPEN_HEAD, [("q", '"[a, b]"'), *OPEN]), "rows.csv", {}, r"row 1 \(line 2\), column 'answer'.*JSON"),
    ],
)
def test_one_message_names_file_row_and_column(tmp_path, content, name, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        rows_of(tmp_path, content, name, **keys)
    assert name in str(caught.value) and "network" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"builder": "fever", "columns": {"question": "q"}},
            "the key 'columns', which the builder 'fever' does not have",
        ),
        ({"sources": [{"kind": "local", "path": "a"}]}, "both 'source' and 'sources'"),
        ({"source": {"kind": "local", "files": {"train": "a", "test": "b"}}}, "keys train, test. Allowed"),
        ({"columns": {"qestion": "q"}}, "unknown key 'qestion' in columns.*'question'"),
        ({"answer_is": "number"}, "answer_is"),
        ({"new_tokens": 0}, "new_tokens is 0"),
    ],
)
def test_entries_that_cannot_be(keys, message):
    with pytest.raises(UserError, match=message):
        entry("rows.csv", **keys)


def test_a_file_that_is_not_there_is_named_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"there is no file my/rows.csv .{tmp_path}/my/rows.csv") as caught:
        check_sources(entry("my/rows.csv"), "dataset 'mine'")
    assert "network" not in str(caught.value)
    (tmp_path / "my").mkdir()
    with pytest.raises(UserError, match="my is a folder, not a file"):
        check_sources(entry("my"), "dataset 'mine'")


HUB = [
    *("README.md", "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
    *("data/test-00000-of-00001.parquet", "other/test.csv"),
]


@pytest.mark.parametrize(
    ("present", "config", "split", "files"),
    [
        (HUB, None, "train", HUB[1:3]),
        (HUB, None, "test", HUB[3:4]),
        (HUB, None, "validation", []),
        (["easy/test-0.parquet", "hard/test-0.parquet"], "hard", "test", ["hard/test-0.parquet"]),
        (["easy/test-0.parquet", "hard/test-0.parquet"], "soft", "test", []),
        (["easy/test-0.parquet", "easy/dev-0.parquet", "hard/test-0.parquet"], "hard", "dev", []),
        (["default/test/0000.parquet", "default/train/0000.parquet"], "default", "test", ["default/test/0000.parquet"]),
        (["train.jsonl", "test.jsonl"], "default", "test", ["test.jsonl"]),
    ],
)
def test_files_of_a_split_on_the_hub(present, config, split, files):
    assert files_of_split(present, config, split) == files
