"""The manifest has every file and its maker, and is not made where one cannot be told."""

import os

import pytest

from laser.errors import UserError
from laser.io.files import read_json, sha256_file
from laser.provenance.compare import differences
from laser.provenance.manifest import MANIFEST, MANIFEST_RUN, is_covered, left_over, untracked_state
from tests.provenance.small import SNAKEFILE, closed, job, study, write_manifests


def test_every_file_is_named_with_its_hash_and_its_record(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    write_manifests(folder)
    files = {one["path"]: one for one in read_json(folder / MANIFEST)["files"]}
    assert files["tables/table1.csv"]["record"] == "records/table1/table1.json"
    assert files["records/table1/table1.json"]["record"] is None
    assert all(one["sha256"] == sha256_file(folder / name) for name, one in files.items())
    assert list(files) == sorted(files)
    passing = {one["path"] for one in read_json(folder / MANIFEST_RUN)["files"]}
    assert {"runs/test/m/d.json", "logs/test/m/d.log"} <= passing
    assert left_over(folder, read_json(folder / MANIFEST), read_json(folder / MANIFEST_RUN)) == []


def test_a_file_of_earlier_settings_is_left_over(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    job(folder, "sweep/m/d/layer7.log", "x", outputs=[folder / "sweep/m/d/layer7/rho0.1.parquet"])
    write_manifests(folder)
    found = left_over(folder, read_json(folder / MANIFEST), read_json(folder / MANIFEST_RUN))
    assert "sweep/m/d/layer7/rho0.1.parquet" in found and "records/sweep/m/d/layer7.json" in found
    assert not is_covered("export/m/README.md") and not is_covered("records/manifest/manifest.json")
    assert is_covered("manifests.json") and is_covered("auditing.md")


def test_of_two_records_of_one_file_the_newer_counts(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    job(folder, "test/m/other.log", "rows", [folder / "inputs/study.json"], [folder / "test/m/d.parquet"])
    assert closed(folder).made["test/m/d.parquet"]["record"] == "records/test/m/other.json"


def delete(path):
    path.unlink()


def change(path):
    path.write_text(path.read_text() + " ")


@pytest.mark.parametrize(
    ("name", "does", "named"),
    [
        ("records/test/m/d.json", delete, ["records/test/m/d.json is missing"]),
        ("records/table1/table1.json", delete, ["records/table1/table1.json is missing", "tables/table1.csv has no"]),
        ("runs/test/m/d.json", delete, ["runs/test/m/d.json is missing"]),
        ("test/m/d.parquet", change, ["test/m/d.parquet differs from its record", "records/test/m/d.json"]),
        ("tables/table1.csv", delete, ["tables/table1.csv is missing"]),
        ("inputs/study.json", change, ["inputs/study.json differs from its record"]),
        ("records/test/m/d.json", lambda path: path.write_text("{"), ["records/test/m/d.json"]),
        ("records/test/m/d.json", lambda path: path.write_text("[]"), ["records/test/m/d.json"]),
    ],
)
def test_what_is_missing_or_stale_is_named(tmp_path, monkeypatch, name, does, named):
    folder = study(tmp_path, monkeypatch)
    does(folder / name)
    with pytest.raises(UserError) as raised:
        closed(folder)
    for text in named:
        assert text in str(raised.value)


def test_what_is_missing_is_named_before_what_seems_stale(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    (folder / "records/test/m/d.json").unlink()
    for path in [folder / "inputs/study.json", folder / "README.md", *folder.glob("inputs/workflow/**/*.py")]:
        change(path)
    change(folder / SNAKEFILE)
    change(folder / "tables/table1.csv")
    with pytest.raises(UserError) as raised:
        closed(folder)
    message = str(raised.value)
    assert message.index("records/test/m/d.json is missing") < message.index("differs")


def test_a_job_that_read_another_file_than_is_there_is_stale(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    job(folder, "test/m/d.log", "other rows", [folder / "inputs/study.json"], [folder / "test/m/d.parquet"])
    with pytest.raises(UserError, match=r"records/table1/table1\.json is stale.*test/m/d\.parquet"):
        closed(folder)


CHANGES = {
    "a log made again": lambda folder: (folder / "logs/test/m/d.log").write_text("of a second run"),
    "a deleted log": lambda folder: (folder / "logs/test/m/d.log").unlink(),
    "a deleted file of the report": lambda folder: (folder / "report/rows/m.csv").unlink(),
    "a further file of the report": lambda folder: (folder / "report/rows/n.csv").write_text("id"),
}
NO_CHANGES = {
    "file times": lambda folder: [os.utime(path, (1, 1)) for path in folder.rglob("*")],
    "the manifest's own log": lambda folder: (folder / "logs/manifest/manifest.log").write_text("again"),
    "an export": lambda folder: make(folder / "logs/export/m/d.log"),
    "a file that is being written": lambda folder: make(folder / "logs/test/m/.d.log.x1.tmp"),
    "a manifest": lambda folder: (folder / MANIFEST).write_text("{}"),
}


def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made")


@pytest.mark.parametrize("change", [*CHANGES, *NO_CHANGES])
def test_the_state_of_files_that_snakemake_does_not_track(tmp_path, monkeypatch, change):
    folder = study(tmp_path, monkeypatch)
    for name in ("logs/manifest/manifest.log", "report/rows/m.csv"):
        make(folder / name)
    before = untracked_state(folder)
    (CHANGES | NO_CHANGES)[change](folder)
    assert (untracked_state(folder) != before) == (change in CHANGES)


def test_a_study_without_any_file_has_a_state(tmp_path):
    assert untracked_state(tmp_path / "nowhere") == untracked_state(str(tmp_path / "nowhere"))


def test_two_runs_are_compared_file_by_file(tmp_path, monkeypatch):
    for name, text in (("one", "rows"), ("two", "rows"), ("three", "other")):
        write_manifests(study(tmp_path / name, monkeypatch, text))
    folders = {name: tmp_path / name / "results/small" for name in ("one", "two", "three")}
    assert differences(folders["one"], folders["two"]) == []
    found = differences(folders["one"], folders["three"])
    assert "test/m/d.parquet: differs" in found and "inputs/study.json: differs" not in found
    (folders["two"] / "tables/table1.csv").unlink()
    assert differences(folders["one"], folders["two"]) == [f"tables/table1.csv: not in {folders['two']} any more"]
