"""A study whose data come from an archive of a package index on loopback, one dataset whole and one in part."""

import json

import pandas as pd
import pytest
import yaml

from laser.io.files import read_json, read_spec
from tests import tiny
from tests.index import Index, sdist, sha256
from tests.workflow.one_process import build
from tests.workflow.runner import tool

CLAIM = "On June 2017, the following claim was made: {}\nQ: Was this claim true or false?"
FEVER = [
    {"id": index, "input": CLAIM.format(f"Claim {index} holds."), "target_scores": {"true": true, "false": 1 - true}}
    for index, true in enumerate([1, 0, 0] * 10)
]
FACTS = [{"input": f"Place {index} is in", "target": [f"land{index % 3}"]} for index in range(40)]
MEMBERS = {name: json.dumps({"examples": rows}).encode() for name, rows in {"fever": FEVER, "facts": FACTS}.items()}
ARCHIVE = sdist({f"{name}.json": content for name, content in MEMBERS.items()})
PART = "a half, made for a test"


def source(member, kind, **more):
    pins = {"package": "tasks", "version": "1.0", "archive": "tasks-1.0.tar.gz", "sha256": sha256(ARCHIVE)}
    pins |= {"member": f"tasks-1.0/{member}.json", "member_sha256": sha256(MEMBERS[member]), "format": kind}
    return {"kind": "package", **pins, **more}


FEVER_SOURCE = source("fever", "bigbench-fever", partial=PART)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_httpserver):
    """(the folder, its results, the index) of a study that has run."""
    folder = tmp_path_factory.mktemp("package")
    index = Index(make_httpserver, {"tasks-1.0.tar.gz": ARCHIVE})
    study = {
        "title": "package",
        "protocols": ["published", "corrected"],
        "models": [tiny.entry("gpt-j-6b", tiny.checkpoint(folder / "model", "gptj"), "gptj")],
        "datasets": [
            {
                "name": "fever",
                "sources": [source("fever", "bigbench-fever", partial=PART)],
                "partial": "allowed",
                "validation_rows": 4,
            },
            {"name": "qa_wikidata", "sources": [source("facts", "bigbench")]},
        ],
        "grid": {"matrices": ["u_in"], "layers": [1], "rhos": [0.5, 0.1]},
        "resamples": 1000,
        "artefacts": ["table1", "table4", "verdicts"],
    }
    path = folder / "package.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_INDEX_URL", index.url)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        return folder, build(folder, path), index


def test_one_download_serves_both_datasets(finished):
    folder, _, index = finished
    assert len(index.asked) == 1
    assert [path.name for path in (folder / "cache/data/downloads").glob("[!.]*")] == ["tasks-1.0.tar.gz"]


def test_the_part_is_marked_wherever_its_cells_are_shown(finished):
    _, results, _ = finished
    cards = {name: read_json(results / f"inputs/data/{name}/card.json") for name in ("fever", "qa_wikidata")}
    assert {name: card["partial"] for name, card in cards.items()} == {"fever": PART, "qa_wikidata": None}
    assert read_spec(results / "inputs/data/fever/rows.parquet")["partial_rows"] == PART
    table = pd.read_csv(results / "tables/table1.csv")
    by_dataset = table[table["published"].notna()].groupby("dataset")["verdict"]
    assert set(by_dataset.get_group("fever")) == {"part of the paper's rows"}
    assert "part of the paper's rows" not in set(by_dataset.get_group("qa_wikidata"))
    verdicts = pd.read_csv(results / "tables/verdicts.csv").fillna("")
    ours = verdicts[(verdicts["run_model"] != "") & (verdicts["dataset"] == "FEVER")]
    assert len(ours) and set(ours["verdict"]) == {"part of the paper's rows"}
    note = f"Part of the paper's rows: fever ({PART})."
    for name in ("table1", "table4"):
        assert note in (results / f"tables/{name}.md").read_text(encoding="utf-8")
    assert (results / "report/index.html").read_text(encoding="utf-8").count(PART) >= 3


def test_it_passes_its_audit(finished):
    folder, results, _ = finished
    done = tool("audit", results, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
