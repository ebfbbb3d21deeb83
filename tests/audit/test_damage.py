"""Whatever stands in a file of a study, the audit ends with findings and not with a traceback."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laser_audit.pages import page, terminal
from laser_audit.run import audit

JSON = ("manifest.json", "records/table1/table1.json", "selection/gpt-j-6b/worldfacts.json", "inputs/study.json")
"""What is below inputs/ comes last: once it was written, an audit reads all rows again (tests.audit.remembered)."""
SEED = 5
CONTENT = {
    "nothing": b"",
    "half a file": b'{"schema": 1, "files": [',
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "not a number": b'{"schema": NaN}',
    "a huge number": b'{"schema": 1' + b"0" * 5000 + b"}",
    "nested without end": b'{"a":' * 100_000,
    "a key twice": b'{"schema": 1, "schema": 2}',
    "another thing": b'{"files": {"path": 3}, "models": 4, "protocols": null, "spec": [], "datasets": "x"}',
}


def findings(folder):
    report = audit(folder)
    text = terminal(report) + page(report)
    assert not report.passed and "FAILED" in text
    return [str(one) for check in report.checks for one in check.findings]


@pytest.mark.parametrize("what", CONTENT)
def test_json(study, what):
    for path in JSON:
        before = (study / path).read_bytes()
        (study / path).write_bytes(CONTENT[what])
        assert any(path in one for one in findings(study))
        (study / path).write_bytes(before)


WRONG = (None, True, -1, 1e308, "x", [], {}, [[]], {"path": "../../etc/passwd"})


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_any_value_for_any_key(study, value):
    draw = random.Random(f"{SEED}{value!r}")
    for path in ("selection/gpt-j-6b/worldfacts.json", "manifest.json", "inputs/study.json"):
        before = (study / path).read_text()
        held = json.loads(before)
        for key in draw.sample(sorted(held), 1):
            (study / path).write_text(json.dumps(held | {key: value}))
            if held[key] != value:
                assert any(path in one for one in findings(study))
        (study / path).write_text(before)


COLUMNS = {
    "texts": pa.array(["a", "b"]),
    "truths": pa.array([True, None]),
    "lists": pa.array([[1.0], []]),
    "nothing": pa.array([None, None]),
    "numbers": pa.array([float("nan"), float("inf")]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_parquet_with_other_columns(study, kind):
    path = "test/gpt-j-6b/worldfacts.parquet"
    schema = pq.read_schema(study / path)
    table = pa.table({name: COLUMNS[kind] for name in schema.names})
    pq.write_table(table.replace_schema_metadata(schema.metadata), study / path)
    assert any(path in one for one in findings(study))


@pytest.mark.parametrize("metadata", [None, {b"laser_spec": b"\xff"}, {b"laser_spec": b"[]"}, {b"laser_spec": b"{}"}])
def test_parquet_with_another_spec(study, metadata):
    path = "test/gpt-j-6b/worldfacts.parquet"
    pq.write_table(pq.read_table(study / path).replace_schema_metadata(metadata), study / path)
    assert any(path in one for one in findings(study))


@pytest.mark.parametrize(
    "path", ["../outside.json", "/etc/passwd", "a/../../b", "a\\b", "nul\0", "", "tables//table1.csv", "x" * 5000]
)
def test_paths_that_lead_elsewhere_are_findings(study, path):
    manifest = json.loads((study / "manifest.json").read_text())
    manifest["files"].append({"path": path, "sha256": "0" * 64, "bytes": 1, "record": None})
    (study / "manifest.json").write_text(json.dumps(manifest))
    assert findings(study)


def test_what_a_file_holds_is_escaped_in_the_pages(study):
    evil = "<script>alert(1)</script>|`x`\x1b[31m"
    held = json.loads((study / "inputs/study.json").read_text())
    (study / "inputs/study.json").write_text(json.dumps(held | {"name": evil}))
    report = audit(study)
    assert "<script" not in page(report) and "\x1b" not in page(report)
    assert "\x1b" not in terminal(report)
