"""Tasks of lm-evaluation-harness through Snakemake to Table 1; skipped where the package is not installed."""

import json

import pandas as pd
import pytest
import yaml

from laser.io.files import read_json
from tests import tiny
from tests.tasks.test_lm_eval import CHOICE, OPEN, needs_package
from tests.workflow.runner import run

DOCUMENTS = [
    {"q": f"What is {number} + 1?", "options": ["none", str(number + 1)], "right": 1, "answer": str(number + 1)}
    for number in range(16)
]


@pytest.fixture
def study(tmp_path):
    """Two tasks of our own on one file of documents, and a tiny model."""
    tiny.checkpoint(tmp_path / "model")
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, DOCUMENTS)))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "documents.jsonl"}}, "test_split": "test"}
    for name, settings in (("choice", CHOICE), ("open", OPEN)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"task": f"ours-{name}", **data, **settings}))
    datasets = [{"name": name, "builder": "lm_eval", "task": f"{name}.yaml"} for name in ("choice", "open")]
    changes = {
        "datasets": datasets,
        "artefacts": ["table1"],
        "grid": {"matrices": ["u_gate"], "layers": [1], "rhos": [0.5]},
    }
    return tiny.study(tmp_path, tmp_path / "model", "harness", **changes)


@needs_package
def test_tasks_reach_table_1(study, tmp_path):
    done = run(tmp_path, study, "all", variables={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "results/harness/tables/table1.csv")
    assert set(table["dataset"]) == {"choice", "open"} and set(table["n"]) == {13}
    cards = [read_json(path)["source"] for path in sorted(tmp_path.glob("results/harness/inputs/data/*/card.json"))]
    assert [card["output_type"] for card in cards] == ["multiple_choice", "generate_until"]
    assert {card["kind"] for card in cards} == {"lm_eval"}
