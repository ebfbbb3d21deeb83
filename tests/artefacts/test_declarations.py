"""Declarations of artefacts: what follows from them, and that a module and a caption are all that a new one takes."""

import importlib
import json
import re
import shutil

import pandas as pd
import pytest

from laser.config.artefacts import declared, pictures, unfit
from laser.config.paths import PATTERNS
from laser.errors import UserError
from laser.results.study import StudyResults
from tests import tiny
from tests.artefacts import synthetic
from tests.artefacts.making import EVERY_CELL, data_of, make, spec_of
from tests.workflow.runner import ROOT, copy_of_repository, counted, planned, run

EXAMPLE = ROOT / "docs/adding-an-artefact.md"
NAMES = list(declared())


@pytest.mark.parametrize("name", NAMES)
def test_every_declaration_fits_its_module_and_has_a_caption(name):
    artefact = declared()[name]
    module = artefact.module
    assert module.__name__.endswith(f".{name}") and callable(module.make)
    assert callable(module.views) if artefact.kind == "table" else artefact.pictures
    assert set(artefact.reads) | set(artefact.also_reads) <= {*PATTERNS, "counts"}
    assert set(artefact.after) <= set(NAMES)
    assert (ROOT / f"workflow/report/{name}.rst").read_text().strip()
    assert artefact.title and artefact.about and not artefact.about.endswith(".")


def test_every_caption_but_the_reports_own_has_a_declaration():
    assert {path.stem for path in (ROOT / "workflow/report").glob("*.rst")} == {*NAMES, "workflow"}


def test_tables_come_first_and_numbers_in_their_order():
    kinds = [artefact.kind != "table" for artefact in declared().values()]
    assert kinds == sorted(kinds)
    assert NAMES.index("table1") == 0 and NAMES.index("fig2") < NAMES.index("fig10") < NAMES.index("noise")


def test_there_is_a_picture_for_each_value_of_the_patterns_wildcards():
    cells, protocols = [("b", "y"), ("a", "x"), ("b", "x")], ["p", "q"]
    paths = {
        pattern: [picture.path for picture in pictures(pattern, cells, protocols)]
        for pattern in ("{model}/{dataset}-{protocol}", "{model}/{protocol}", "{model}/all", "{dataset}/{protocol}")
    }
    assert paths["{model}/{dataset}-{protocol}"] == ["b/y-p", "b/y-q", "a/x-p", "a/x-q", "b/x-p", "b/x-q"]
    assert paths["{model}/{protocol}"] == ["b/p", "b/q", "a/p", "a/q"]
    assert paths["{model}/all"] == ["b/all", "a/all"]
    assert paths["{dataset}/{protocol}"] == ["y/p", "y/q", "x/p", "x/q"]
    (room,) = pictures("{dataset}/room", cells[:1], protocols)
    assert (room.labels, room.model, room.protocol) == ({"dataset": "y"}, "", "")


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "a b", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    for cells in ([(name, "fever")], [("m", name)]):
        with pytest.raises(UserError, match="cannot be part of a file's path"):
            StudyResults(spec_of("table1", cells), tmp_path)
    with pytest.raises(UserError, match="cannot be part of a file's path"):
        StudyResults(spec_of("fig9", protocols=[name]), tmp_path)


@pytest.mark.parametrize("change", [{"cells": 3}, {"reads": []}, {"files": {}}, {"cells": [["a", "b", "c"]]}])
def test_a_spec_of_another_kind_is_refused(tmp_path, change):
    with pytest.raises(UserError, match="not that of a table or figure"):
        StudyResults(spec_of("table1") | change, tmp_path)


def test_an_unknown_artefact_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"spec.artefact is 'table9'. Allowed: table1, "):
        make(tmp_path, spec_of("table1") | {"artefact": "table9"}, tmp_path)


def test_the_copies_of_a_finished_study_stand_in_for_the_cache(tmp_path):
    study = synthetic.build(tmp_path / "study", examples=60)
    counts = tmp_path / "counts.csv"
    counts.write_text("group,count\nfever-g30,7\n")
    cells = [("gpt-j-6b", "fever")]
    spec = spec_of("fig3b", cells, counts={"fever": str(counts)})
    before = data_of(study.folder, spec, tmp_path / "before")
    copies = study.folder / "inputs"
    for source, target in ((study.rows[0], "data/fever/rows.parquet"), (counts, "counts/fever.csv")):
        (copies / target).parent.mkdir(parents=True)
        shutil.move(source, copies / target)
    shutil.rmtree(study.folder / "cache")
    again = data_of(study.folder, spec, tmp_path / "again", inputs=copies)
    for frame, expected in zip(again, before, strict=True):
        pd.testing.assert_frame_equal(frame, expected)
    assert len(again[0]) == 1


def test_a_job_reads_no_file_that_its_declaration_does_not_name(tmp_path):
    study = StudyResults(spec_of("table4", EVERY_CELL), tmp_path)
    with pytest.raises(KeyError):
        study.paths("test")
    with pytest.raises(KeyError, match="does not read rows"):
        study.path_of("rows", ("another", "fever"))


def test_what_does_not_fit_a_study_is_said():
    study = {"models": [{"architecture": "llama", "source": {"kind": "hub"}}], "artefacts": []}
    assert unfit(declared()["table1"], study) == ""
    assert unfit(declared()["compose"], study).startswith("needs the key 'compose'")
    assert unfit(declared()["film"], study).startswith("is about policies that play Sokoban")
    assert unfit(declared()["noise"], study) == "needs models that the pipeline trains; there is none"


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository with the example of the documentation added to it."""
    root = copy_of_repository(tmp_path_factory.mktemp("extended"))
    blocks = dict(re.findall(r"```(python|rst)\n(.*?)```", EXAMPLE.read_text(), re.S))
    (root / "workflow/scripts/laser/artefacts/lengths.py").write_text(blocks["python"])
    (root / "workflow/report/lengths.rst").write_text(blocks["rst"])
    return root


def test_a_module_and_a_caption_are_a_new_artefact(extended, tmp_path):
    study = tiny.study(tmp_path, tiny.checkpoint(tmp_path / "model"), artefacts=["lengths"])
    whole = planned(tmp_path, study, "all", root=extended)
    assert {"lengths", "report", "inputs", "manifest"} <= set(whole) and "table1" not in whole
    done = run(tmp_path, study, "lengths", root=extended)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted(done) == {"lengths": 1, "prepare": 1, "total": 2}
    results = tmp_path / "results/tiny"
    frame = pd.read_csv(results / "tables/lengths.csv")
    assert list(frame["dataset"]) == ["worldfacts"] and frame["characters"].iloc[0] > 10
    assert "Lengths of prompts" in (results / "tables/lengths.md").read_text()
    record = json.loads((results / "records/lengths/lengths.json").read_text())
    assert record["rule"] == "lengths" and record["script"] == "workflow/scripts/make_artefact.py"
    assert [one["path"].split("/")[-1] for one in record["inputs"]] == ["rows.parquet"]
    assert sorted(one["path"] for one in record["outputs"]) == [
        f"results/tiny/tables/lengths.{end}" for end in ("csv", "md", "tex")
    ]
    assert (results / "logs/lengths/lengths.log").is_file()


def test_an_edit_of_one_artefact_makes_no_other_again(extended):
    from laser.config.artefacts import artefact_code

    scripts = extended / "workflow/scripts"
    before = {name: artefact_code(name, scripts) for name in ("table1", "table4", "fig9")}
    path = scripts / "laser/artefacts/table4.py"
    path.write_text(path.read_text().replace('"Size − paper"', '"Size - paper"'))
    importlib.import_module("laser.config.fingerprint")._fingerprint.cache_clear()
    importlib.import_module("laser.config.fingerprint").read_module.cache_clear()
    after = {name: artefact_code(name, scripts) for name in before}
    assert {name for name in before if before[name] != after[name]} == {"table4"}
