"""What a study copies of the cache, and by what names."""

from pathlib import Path

import pytest

from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.provenance.copied_inputs import copies, published_copies, workflow_copies

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("study", ["paper", "quickstart", "laboratory"])
def test_every_model_and_dataset_has_its_card_and_what_made_it(study):
    plan = Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": study}, ROOT)
    found = copies(plan)
    for model in plan.models:
        for name in ("card.json", "record.json", "run.json"):
            assert found[f"models/{model}/{name}"] == f"models/{plan.model_key(model)}/{name}"
        assert (f"models/{model}/training.csv" in found) == plan.is_trained(model)
        if plan.is_trained(model):
            assert f"corpora/{plan.corpus_key(model)}/facts.parquet" in found
    for dataset in plan.datasets:
        assert found[f"data/{dataset}/rows.parquet"] == f"data/{plan.data_key(dataset)}/rows.parquet"


def test_the_papers_numbers_and_the_workflow_are_copied_too():
    plan = Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": "quickstart"}, ROOT)
    assert "table1.csv" in published_copies(plan)
    assert {"Snakefile", "rules/common.smk", "config/claims.yaml"} <= set(workflow_copies(plan))
