"""A study of a model that overflows on some rows: every table is made, and the audit understands it."""

import math

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file, save_file

from laser.io.files import read_json, read_parquet
from tests import tiny
from tests.audit.build import write_study
from tests.workflow.one_process import build
from tests.workflow.runner import tool

WORD = " currency"
ARTEFACTS = ["table1", "table3", "verdicts", "topk", "stability", "fig9", "fig3b"]


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """The results of a study whose model is not finite where it reads one word."""
    folder = tmp_path_factory.mktemp("overflowing")
    study = write_study(folder)
    settings = yaml.safe_load(study.read_text(encoding="utf-8"))
    evaluations = ("compose", "seeds", "prompts", "transfer", "rank_rules", "baselines", "efficacy", "clustered")
    settings = {key: value for key, value in settings.items() if key not in evaluations}
    settings["grid"]["rhos"] = [0.5]
    study.write_text(yaml.safe_dump(settings | {"datasets": settings["datasets"][:1], "artefacts": ARTEFACTS}))
    path = folder / "gptj/model.safetensors"
    weights = load_file(path)
    (token,) = tiny.tokenizer()(WORD, add_special_tokens=False)["input_ids"][-1:]
    weights["transformer.wte.weight"][token] = math.inf
    save_file(weights, path, metadata={"format": "pt"})
    return build(folder, study)


def test_every_table_is_made_and_the_audit_passes(overflowing):
    base = read_parquet(overflowing / "sweep/gpt-j-6b/worldfacts/base.parquet")
    lost = base["loss"].isna()
    assert 0 < lost.sum() < len(base) and not base.loc[lost, "correct"].any()
    selection = read_json(overflowing / "selection/gpt-j-6b/worldfacts.json")["protocols"]
    assert selection["corrected"]["chosen"] is None and selection["corrected"]["validation"]["base"]["loss"] is None
    table = pd.read_csv(overflowing / "tables/table1.csv").query("dataset == 'worldfacts'")
    sizes = table.groupby("metric")["n"].first()
    assert 0 < sizes["loss"] < sizes["accuracy"]
    text = (overflowing / "tables/table1.md").read_text(encoding="utf-8")
    assert f"gpt-j-6b on worldfacts: {sizes['accuracy'] - sizes['loss']} of {sizes['accuracy']}" in text
    done = tool("audit", overflowing)
    assert done.returncode == 0, done.stdout + done.stderr
