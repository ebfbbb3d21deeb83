"""Tables from files that the evaluation scripts themselves wrote, for a tiny model."""

import json

import pandas as pd
import pytest

from laser.io.files import read_json, read_parquet, write_json, write_parquet
from tests.artefacts.making import frames, lay_out, make, spec_of
from tests.evaluation.tiny_cell import TinyCell, run_script

RHOS = [0.9, 0.5, 0.1]
GRID = {"matrices": ["u_in", "u_out"], "layers": [0, 1]}
PUBLISHED = {"matrix": "u_in", "layer": 1, "rho": 0.5}
PROTOCOLS = {"corrected", "published"}
CELL = "tiny-gptj/worldfacts"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with everything that the tables read, of one cell, made in the order of the pipeline."""
    cell = TinyCell(tmp_path_factory.mktemp("cell"), "gptj")
    frame = read_parquet(cell.data).astype({"frequency": "float64"})
    frame["phrasing"] = pd.array(frame.groupby("group").cumcount(), dtype="Int32")
    write_parquet(cell.data, frame, {"dataset": {"name": "worldfacts", "builder": "worldfacts", "limit": None}})
    write_json(cell.model, {"name": "tiny-gptj", "parameters": 50_000, "dtype_stored": "fp32"})
    lay_out(cell)
    base, sweep, records = cell.run("evaluate_base", {}, f"sweep/{CELL}/base.parquet"), [], []
    for layer in (0, 1):
        swept = [cell.folder / f"sweep/{CELL}/layer{layer}/rho{rho}.parquet" for rho in RHOS]
        reduced = [cell.folder / f"reductions/tiny-gptj/layer{layer}/rho{rho}.json" for rho in RHOS]
        spec = cell.spec | {"layer": layer, "matrices": GRID["matrices"], "rhos": RHOS}
        given = ["--spec", json.dumps(spec), "--model", str(cell.model), "--factors", str(cell.folder / "factors")]
        run_script("sweep_layer", [*given, "--rows", str(cell.data), "--output", *map(str, swept)])
        run_script("reduce_layer", [*given, "--records", *map(str, reduced)])
        sweep, records = sweep + swept, records + reduced
    spec = {"model": "tiny-gptj", "dataset": "worldfacts", "grid": GRID | {"rhos": RHOS}}
    selection = cell.folder / f"selection/{CELL}.json"
    given = ["--spec", json.dumps(spec), "--base", str(base), "--output", str(selection)]
    run_script("select_intervention", [*given, "--sweep", *map(str, sweep), "--records", *map(str, records)])
    cell.run("evaluate_test", {}, f"test/{CELL}.parquet", selection=selection)
    search = cell.run("compose_layers", GRID | {"rhos": RHOS}, f"compose/{CELL}.json")
    cell.run("test_composition", {}, f"compose/{CELL}.parquet", compose=search)
    spec = {"grid": GRID, "rhos": RHOS, "examples": 6}
    gradients = cell.run("rank_gradients", spec, f"gradients/{CELL}.json")
    spec = {"published_choice": PUBLISHED, "gradient": {"examples": 6, "keep": 2}}
    given = {"selection": selection, "gradients": gradients, "sweep": sweep}
    cell.run("evaluate_choices", spec, f"choices/{CELL}.parquet", **given)
    spec = {"published_choice": PUBLISHED, "seeds": [0, 1, 2]}
    cell.run("evaluate_seeds", spec, f"seeds/{CELL}.parquet", selection=selection)
    cell.run("evaluate_prompts", {"rows": None}, f"prompts/{CELL}.parquet", selection=selection)
    _perplexity(cell, selection)
    return cell.folder


def _perplexity(cell, selection):
    text, target = cell.folder / "text.parquet", cell.folder / f"perplexity/{CELL}.parquet"
    texts = [" ".join(["Paris is the capital of France and the yen is of Japan ."] * 9)] * 3
    write_parquet(text, pd.DataFrame({"text": texts}), {})
    given = {"model": cell.model, "text": text, "selection": selection, "factors": cell.folder / "factors"}
    arguments = ["--spec", json.dumps(cell.spec | {"text": "made-up"}), "--output", str(target)]
    for name, path in given.items():
        arguments += [f"--{name}", str(path)]
    run_script("evaluate_perplexity", arguments)


def table(folder, into, name):
    settings = {"trained_phrasings": {"tiny-gptj": [0]}} if name == "paraphrase" else {}
    spec = spec_of(name, [tuple(CELL.split("/"))], layers=(0, 1), rhos=RHOS, **settings)
    (frame,) = frames(make(folder, spec, into))
    return frame


TABLES = (
    *("paraphrase", "topk", "table3", "stability", "compose", "seeds", "prompts", "search", "size", "perplexity"),
)


@pytest.mark.parametrize("name", TABLES)
def test_each_table_holds_both_protocols(files, tmp_path, name):
    frame = table(files, tmp_path, name)
    assert set(frame["protocol"]) == PROTOCOLS and set(frame["model"]) == {"tiny-gptj"}


def test_the_printed_choice_was_scored_at_its_own_place(files, tmp_path):
    frame = table(files, tmp_path, "table3").set_index("protocol")
    rows = read_parquet(files / f"choices/{CELL}.parquet")
    for protocol in PROTOCOLS:
        own = rows[(rows["protocol"] == protocol) & (rows["choice"] == "published")]
        assert frame.loc[protocol, "paper_test_accuracy"] == pytest.approx(100 * own["correct"].mean())


def test_costs_of_both_searches_are_those_of_the_run(files, tmp_path):
    frame = table(files, tmp_path, "search")
    selection = read_json(files / f"selection/{CELL}.json")
    candidates = len(selection["protocols"]["corrected"]["candidates"])
    assert (frame["evaluations"] == (candidates + 1) * frame["n"].map({18: 12, 20: 10})).all() and candidates == 12
    assert (frame["gradient_evaluations"] == (2 * len(RHOS) + 1) * 6).all() and frame["whole_grid"].all()
