"""The scripts of the tables beyond the paper: from files to CSV, Markdown and LaTeX, the same bytes every time."""

import importlib

import pytest

from laser.analysis.tables import read_table
from laser.io.files import read_json, write_json
from laser.io.job import Job
from tests.artefacts import synthetic, synthetic_more

FEVER = 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    study = synthetic.build(tmp_path_factory.mktemp("study"), examples=60)
    synthetic_more.with_phrasings(study)
    search, composed = synthetic_more.composed(study, FEVER)
    for path in study.selections:
        found = read_json(path)
        found["spec"]["grid"] = {"matrices": list(synthetic.MATRICES)}
        write_json(path, found)
    cards = []
    for path in study.records:
        record = read_json(path)
        for one in record["matrices"].values():
            one |= {"parameters": 2048, "parameters_factored": 96}
        write_json(path, record)
    for name in synthetic.MODELS:
        cards.append(study.folder / f"{name}.json")
        write_json(cards[-1], {"name": name, "parameters": 10_000, "dtype_stored": "fp32"})
    return {
        "test": study.tests,
        "selection": study.selections,
        "rows": study.rows,
        "base": study.bases,
        "sweep": [path for files in study.sweeps.values() for path in files],
        "choices": [synthetic_more.choices(study, FEVER)],
        "gradients": [synthetic_more.gradients(study, FEVER)],
        "seeds": [synthetic_more.seeds(study, FEVER)],
        "prompts": [synthetic_more.prompts(study, FEVER)],
        "perplexity": [synthetic_more.perplexity(study, FEVER)],
        "search": [search],
        "composed": [composed],
        "records": study.records,
        "models": cards,
    }


def made(files, name, folder, **paths):
    outputs = [folder / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
    spec = {"seed": 0, "resamples": 100, "trained_phrasings": {"tiny-llama": [0, 1]}}
    importlib.import_module(f"make_{name}").main(Job(f"make_{name}", spec, files | {"output": outputs} | paths))
    return [path.read_bytes() for path in outputs]


NAMES = ("paraphrase", "topk", "table3", "compose", "perplexity", "seeds", "prompts", "search", "size")


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_write_the_same_bytes(files, tmp_path, name):
    first, second = made(files, name, tmp_path / "a"), made(files, name, tmp_path / "b")
    assert first == second
    csv, markdown, latex = (one.decode() for one in first)
    assert len(csv.splitlines()) > 1 and "| --- |" in markdown and r"\toprule" in latex
    assert not read_table(tmp_path / f"a/{name}.csv").empty


def test_stability_from_files(files, tmp_path):
    study = synthetic.build(tmp_path / "study", examples=60)
    synthetic_more.with_grid(study)
    sweep = [path for paths in study.sweeps.values() for path in paths]
    own = {"selection": study.selections, "rows": study.rows, "base": study.bases, "sweep": sweep}
    first = made(files, "stability", tmp_path / "a", **own)
    assert first == made(files, "stability", tmp_path / "b", **own)
    assert set(read_table(tmp_path / "a/stability.csv")["resamples"]) == {100}


def test_table3_without_test_files_is_what_it_was(files, tmp_path):
    made(files, "table3", tmp_path, test=[], choices=[], rows=[])
    assert "test_n" not in read_table(tmp_path / "table3.csv").columns
