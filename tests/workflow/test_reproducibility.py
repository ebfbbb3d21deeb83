"""One study twice, in two folders: on one core, and on two in an adverse environment. The same manifest; a lost record
is not overlooked."""

import os
import re

import pytest

from laser.io.files import read_json
from laser.provenance.compare import differences
from laser.provenance.manifest import CRATE, MANIFEST, MANIFEST_RUN, is_covered
from tests import tiny
from tests.workflow.runner import ROOT, planned, run


def adverse(folder):
    """Return variables under which Python's warnings are errors, asserts are gone, and PATH has an unreadable folder.

    Its commands cannot be executed either, which stops even root.
    """
    folder.mkdir()
    for name in ("git", "nvidia-smi", "sacct", "sbatch", "scontrol", "squeue"):
        (folder / name).touch(mode=0o600)
    folder.chmod(0o000)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    return {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PATH": path}


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Two folders with the same study, and the study's file."""
    root = tmp_path_factory.mktemp("twice")
    study = tiny.study(root, tiny.checkpoint(root / "model"))
    folders = []
    for cores, variables in ((1, {}), (2, adverse(root / "unreadable"))):
        folder = root / f"with-{'many-' * cores}cores"
        folder.mkdir(parents=True)
        done = run(folder, study, "all", cores=cores, variables=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "fault of the workflow" not in done.stdout + done.stderr
        folders.append(folder)
    return folders, study


def test_two_runs_have_the_same_manifest(twice):
    first, second = (folder / "results/tiny" for folder in twice[0])
    assert differences(first, second) == []
    assert (first / MANIFEST).read_bytes() == (second / MANIFEST).read_bytes()
    assert len(read_json(first / MANIFEST)["files"]) > 50


def test_the_manifests_have_every_file(twice):
    folder = twice[0][0] / "results/tiny"
    named = {one["path"] for name in (MANIFEST, MANIFEST_RUN) for one in read_json(folder / name)["files"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in there if is_covered(name)} == named
    assert CRATE in named
    made = read_json(folder / MANIFEST)["files"]
    assert all(one["record"] or one["path"].startswith("records/") for one in made)


def test_no_record_tells_where_it_was_made(twice):
    folder = twice[0][0]
    for path in (folder / "results/tiny/records").rglob("*.json"):
        if path.parent.name not in ("inputs", "report", "manifest"):  # they hold the study, with its model's path
            assert str(folder) not in path.read_text()


def test_a_deleted_record_is_noticed_and_made_again(twice):
    (folder, _), study = twice
    assert planned(folder, study, "all") == {}
    record = folder / "results/tiny/records/test_intervention/tiny-llama/worldfacts.json"
    before = record.read_bytes()
    record.unlink()
    assert planned(folder, study, "all")["test_intervention"] == 1
    done = run(folder, study, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert record.read_bytes() == before


def test_every_rule_has_the_log_by_which_its_record_is_called():
    text = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    blocks = re.split(r"^ *rule ?(\w*):$", text, flags=re.M)[1:]
    assert len(blocks) >= 30
    for rule, block in zip(blocks[::2], blocks[1::2], strict=True):
        (log,) = re.findall(r'log:\s+f?"<logs>/([^"]+)\.log"', block)
        (benchmark,) = re.findall(r'benchmark:\s+f?"<benchmarks>/([^"]+)\.jsonl"', block)
        assert benchmark == log
        assert log.split("/")[0] == rule or (not rule and log.startswith("{"))  # a rule of a loop has its name from it
