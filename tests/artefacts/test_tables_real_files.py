"""The tables' scripts on files that the evaluation scripts themselves wrote, for a tiny model."""

import json

import pandas as pd
import pytest

from laser.io.files import read_json, read_parquet, write_json, write_parquet
from tests.evaluation.tiny_cell import TinyCell, run_script

RHOS = [0.9, 0.5, 0.1]
GRID = {"matrices": ["u_in", "u_out"], "layers": [0, 1]}
PUBLISHED = {"matrix": "u_in", "layer": 1, "rho": 0.5}
PROTOCOLS = {"corrected", "published"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Everything that the tables read, of one cell, made in the order of the pipeline."""
    cell = TinyCell(tmp_path_factory.mktemp("cell"), "gptj")
    frame = read_parquet(cell.data).astype({"frequency": "float64"})
    frame["phrasing"] = pd.array(frame.groupby("group").cumcount(), dtype="Int32")
    write_parquet(cell.data, frame, {"dataset": {"name": "worldfacts", "builder": "worldfacts", "limit": None}})
    write_json(cell.model, {"name": "tiny-gptj", "parameters": 50_000, "dtype_stored": "fp32"})
    made = {"rows": [cell.data], "models": [cell.model], "sweep": [], "records": []}
    made["base"] = [cell.run("evaluate_base", {}, "base.parquet")]
    for layer in (0, 1):
        names = [f"layer{layer}/rho{rho}" for rho in RHOS]
        sweep = [cell.folder / f"{name}.parquet" for name in names]
        records = [cell.folder / f"{name}.json" for name in names]
        spec = cell.spec | {"layer": layer, "matrices": GRID["matrices"], "rhos": RHOS}
        given = ["--spec", json.dumps(spec), "--model", str(cell.model), "--factors", str(cell.folder / "factors")]
        run_script("sweep_layer", [*given, "--rows", str(cell.data), "--output", *map(str, sweep)])
        run_script("reduce_layer", [*given, "--records", *map(str, records)])
        made["sweep"] += sweep
        made["records"] += records
    spec = {"model": "tiny-gptj", "dataset": "worldfacts", "grid": GRID | {"rhos": RHOS}}
    selection = cell.folder / "selection.json"
    given = ["--spec", json.dumps(spec), "--base", str(made["base"][0]), "--output", str(selection)]
    run_script(
        "select_intervention", [*given, "--sweep", *map(str, made["sweep"]), "--records", *map(str, made["records"])]
    )
    made["selection"] = [selection]
    made["test"] = [cell.run("evaluate_test", {}, "test.parquet", selection=selection)]
    made["search"] = [cell.run("compose_layers", GRID | {"rhos": RHOS}, "compose.json")]
    made["composed"] = [cell.run("test_composition", {}, "compose.parquet", compose=made["search"])]
    spec = {"grid": GRID, "rhos": RHOS, "examples": 6}
    made["gradients"] = [cell.run("rank_gradients", spec, "gradients.json")]
    spec = {"published_choice": PUBLISHED, "gradient": {"examples": 6, "keep": 2}}
    given = {"selection": selection, "gradients": made["gradients"], "sweep": made["sweep"]}
    made["choices"] = [cell.run("evaluate_choices", spec, "choices.parquet", **given)]
    spec = {"published_choice": PUBLISHED, "seeds": [0, 1, 2]}
    made["seeds"] = [cell.run("evaluate_seeds", spec, "seeds.parquet", selection=selection)]
    made["prompts"] = [cell.run("evaluate_prompts", {"rows": None}, "prompts.parquet", selection=selection)]
    made["perplexity"] = [_perplexity(cell, selection)]
    return made


def _perplexity(cell, selection):
    text, target = cell.folder / "text.parquet", cell.folder / "perplexity.parquet"
    texts = [" ".join(["Paris is the capital of France and the yen is of Japan ."] * 9)] * 3
    write_parquet(text, pd.DataFrame({"text": texts}), {})
    given = {"model": cell.model, "text": text, "selection": selection, "factors": cell.folder / "factors"}
    arguments = ["--spec", json.dumps(cell.spec | {"text": "made-up"}), "--output", str(target)]
    for name, path in given.items():
        arguments += [f"--{name}", str(path)]
    run_script("evaluate_perplexity", arguments)
    return target


def table(files, folder, name, *inputs):
    outputs = [folder / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
    spec = {"seed": 0, "resamples": 100, "trained_phrasings": {"tiny-gptj": [0]}}
    arguments = ["--spec", json.dumps(spec), "--output", *map(str, outputs)]
    for option in inputs:
        arguments += [f"--{option}", *map(str, files[option])]
    run_script(f"make_{name}", arguments)
    return pd.read_csv(outputs[0])


TESTED = ("test", "selection", "rows")


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("paraphrase", TESTED),
        ("topk", (*TESTED, "base", "sweep")),
        ("table3", (*TESTED, "choices")),
        ("stability", ("selection", "rows", "base", "sweep")),
        ("compose", (*TESTED, "search", "composed")),
        ("seeds", (*TESTED, "seeds", "choices")),
        ("prompts", (*TESTED, "prompts")),
        ("search", (*TESTED, "gradients", "choices")),
        ("size", ("selection", "records", "models")),
        ("perplexity", ("perplexity",)),
    ],
)
def test_each_table_holds_both_protocols(files, tmp_path, name, inputs):
    frame = table(files, tmp_path, name, *inputs)
    assert set(frame["protocol"]) == PROTOCOLS and set(frame["model"]) == {"tiny-gptj"}


def test_the_printed_choice_was_scored_at_its_own_place(files, tmp_path):
    frame = table(files, tmp_path, "table3", *TESTED, "choices").set_index("protocol")
    rows = read_parquet(files["choices"][0])
    for protocol in PROTOCOLS:
        own = rows[(rows["protocol"] == protocol) & (rows["choice"] == "published")]
        assert frame.loc[protocol, "paper_test_accuracy"] == pytest.approx(100 * own["correct"].mean())


def test_the_exact_step_stands_beside_the_seeds_at_the_printed_choice(files, tmp_path):
    frame = table(files, tmp_path, "seeds", *TESTED, "seeds", "choices").set_index(["protocol", "metric"])
    rows = read_parquet(files["choices"][0])
    own = rows[(rows["protocol"] == "corrected") & (rows["choice"] == "published")]
    assert frame.loc[("corrected", "loss"), "exact"] == pytest.approx(own["loss"].mean())
    assert (frame["seeds"] == 3).all() and frame["exact"].isna()["published"].all()


def test_costs_of_both_searches_are_those_of_the_run(files, tmp_path):
    frame = table(files, tmp_path, "search", *TESTED, "gradients", "choices")
    candidates = len(read_json(files["selection"][0])["protocols"]["corrected"]["candidates"])
    assert (frame["evaluations"] == (candidates + 1) * frame["n"].map({18: 12, 20: 10})).all() and candidates == 12
    assert (frame["gradient_evaluations"] == (2 * len(RHOS) + 1) * 6).all() and frame["whole_grid"].all()
