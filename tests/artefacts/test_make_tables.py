"""Tables beyond the paper's numbered ones: from files to CSV, Markdown and LaTeX, the same bytes every time."""

import pytest

from laser.analysis.tables import read_table
from laser.config.artefacts import declared
from laser.io.files import read_json, write_json
from tests.artefacts import synthetic, synthetic_more
from tests.artefacts.making import EVERY_CELL, make, spec_of

FEVER = 0
ONE_CELL = ("compose", "perplexity", "seeds", "prompts", "search", "topk")
"""Tables that are made of one cell: all but the last are about evaluations of which `files` has results of that one."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    study = synthetic.build(tmp_path_factory.mktemp("study"), examples=60)
    synthetic_more.with_phrasings(study)
    synthetic_more.composed(study, FEVER)
    for path in study.selections:
        found = read_json(path)
        found["spec"]["grid"] = {"matrices": list(synthetic.MATRICES)}
        write_json(path, found)
    for path in study.records:
        record = read_json(path)
        for one in record["matrices"].values():
            one |= {"parameters": 2048, "parameters_factored": 96}
        write_json(path, record)
    for name in synthetic.MODELS:
        card = {"name": name, "parameters": 10_000, "dtype_stored": "fp32"}
        write_json(study.folder / f"cache/models/{name}-0/card.json", card)
    for add in ("choices", "gradients", "seeds", "prompts", "perplexity"):
        getattr(synthetic_more, add)(study, FEVER)
    return study


def made(study, name, folder):
    cells = EVERY_CELL[:1] if name in ONE_CELL else EVERY_CELL
    settings = {
        "paraphrase": {"trained_phrasings": {"tiny-llama": [0, 1]}},
        "search": {"racing": {"error": 0.05, "blocks": 10}},
    }.get(name, {})
    spec = spec_of(name, cells, also={"choices": EVERY_CELL[:1]} if name == "table3" else {}, **settings)
    return [path.read_bytes() for path in make(study.folder, spec, folder)]


NAMES = ("paraphrase", "topk", "generic", "table3", "compose", "perplexity", "seeds", "prompts", "search", "size")


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_write_the_same_bytes(files, tmp_path, name):
    first, second = made(files, name, tmp_path / "a"), made(files, name, tmp_path / "b")
    assert first == second
    csv, markdown, latex = (text.decode() for text in first)
    assert len(csv.splitlines()) > 1 and "| --- |" in markdown and r"\toprule" in latex
    table = read_table(tmp_path / f"a/tables/{name}.csv", declared()[name].texts)
    assert not table.empty and declared()[name].module.views(table)
