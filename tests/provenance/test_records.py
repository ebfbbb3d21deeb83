"""What a job leaves of itself, and that nothing of the machine is in what must be the same everywhere."""

import getpass
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from laser.io.files import read_json, sha256_file
from laser.io.records import record_paths, seeds
from laser.models.card import hashes
from laser.provenance.job import run_job
from tests.provenance.small import SPEC, job, study

RECORD = "records/test/m/d.json"


def test_a_record_names_rule_spec_seeds_and_files_with_their_hashes(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    record = read_json(folder / RECORD)
    assert record["rule"] == "test" and record["script"] == "workflow/scripts/make_rows.py"
    assert record["spec"] == SPEC | {"seed": 1} and record["code"] == SPEC["code"] and record["seeds"] == {"seed": 1}
    made = folder / "test/m/d.parquet"
    assert record["outputs"] == [
        {"path": "results/small/test/m/d.parquet", "sha256": sha256_file(made), "bytes": made.stat().st_size}
    ]
    assert [one["path"] for one in record["inputs"]] == ["results/small/inputs/study.json"]
    assert record["packages"]["pandas"]
    assert read_json(folder / "records/table1/table1.json")["rule"] == "table1"


def test_equal_jobs_in_two_folders_give_equal_records(tmp_path, monkeypatch):
    first = (tmp_path / "one" / study(tmp_path / "one", monkeypatch) / RECORD).read_text()
    second = (tmp_path / "two" / study(tmp_path / "two", monkeypatch) / RECORD).read_text()
    assert first == second
    assert str(tmp_path) not in first and socket.gethostname() not in json.loads(first).values()
    assert f"/{getpass.getuser()}/" not in first


def test_the_run_holds_what_differs(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    run = read_json(folder / "runs/test/m/d.json")
    assert run["record"] == "results/small/records/test/m/d.json"
    assert run["host"] == socket.gethostname() and run["peak_memory_bytes"] > 1_000_000 and run["seconds"] >= 0
    assert run["started"].endswith("+00:00") and run["gpu"] == [] and run["device"] is None
    assert set(run["git"]) == {"commit", "dirty"} if run["git"] else True


def test_a_job_that_fails_leaves_no_record_not_even_an_old_one(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    assert (folder / RECORD).exists()
    with pytest.raises(SystemExit):
        job(folder, "test/m/d.log", "x", outputs=[folder / "test/m/d.parquet"], fails=True)
    assert not (folder / RECORD).exists()


def test_paths_are_the_same_wherever_results_and_cache_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = tmp_path / "elsewhere/logs/s", tmp_path / "far/cache"
    place = record_paths(tmp_path / "elsewhere/logs/s/logs/sweep/logs/d.log", [], *folders)
    assert place.rule == "sweep" and place.record == tmp_path / "elsewhere/logs/s/records/sweep/logs/d.json"
    assert place.name(tmp_path / "elsewhere/logs/s/sweep/x.parquet") == "results/s/sweep/x.parquet"
    assert place.name(tmp_path / "far/cache/models/a/card.json") == "cache/models/a/card.json"
    assert place.name(Path("my/counts.csv")) == "my/counts.csv"
    assert place.name(Path("/somewhere/else/counts.csv")) == "counts.csv"


def test_a_job_that_fills_the_cache_has_its_record_beside_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["workflow/scripts/fetch_model.py"])
    card = Path("cache/models/m-1/card.json")

    def main(running):
        running.writes(card)
        card.parent.mkdir(parents=True, exist_ok=True)
        if not card.exists():
            card.write_text("{}")

    arguments = ["--spec", "{}", "--results", "results/s", "--log", "results/s/logs/fetch/m-1.log"]
    run_job(main, "", arguments=arguments)
    record, run = read_json(card.with_name("record.json")), card.with_name("run.json").read_text()
    assert record["rule"] == "fetch" and record["outputs"][0]["path"] == "cache/models/m-1/card.json"
    assert not Path("results/s/records").exists()
    # A later job that finds the folder good keeps the run that made it.
    os.utime(card, (1, 1))
    run_job(main, "", arguments=arguments)
    assert card.with_name("run.json").read_text() == run


def test_records_in_a_checkpoints_folder_are_no_part_of_the_checkpoint(tmp_path):
    for name in ("model.safetensors", "card.json", "record.json", "run.json", ".record.json.a1b2.tmp"):
        (tmp_path / name).write_text("x")
    assert set(hashes(tmp_path)) == {"model.safetensors"}


def test_a_script_that_is_run_by_hand_without_a_log_of_the_study_leaves_none(tmp_path):
    folders = tmp_path / "results/s", tmp_path / "cache"
    assert record_paths(None, [], *folders) is None
    assert record_paths(tmp_path / "some.log", [], *folders) is None
    assert record_paths(tmp_path / "results/other/logs/sweep/d.log", [], *folders) is None
    assert record_paths(tmp_path / "results/s/logs/sweep/d.log", [], *folders) is not None


def test_seeds_are_found_wherever_they_stand():
    spec = {"seed": 3, "model": {"source": {"training": {"seed": 1}}}, "seeds": [0, 1], "grid": [1]}
    assert seeds(spec) == {"seed": 3, "model.source.training.seed": 1, "seeds": [0, 1]}
