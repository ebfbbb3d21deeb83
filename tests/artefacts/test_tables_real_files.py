"""Tables from files that the evaluation scripts themselves wrote, for a tiny model."""

import math
import shutil

import pandas as pd
import pytest

from laser.errors import UserError
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from tests.artefacts.making import data_of, lay_out, spec_of
from tests.evaluation.tiny_cell import TinyCell

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
    write_parquet(cell.data, frame, {"dataset": {"name": "worldfacts", "builder": "worldfacts", "limit": None}})
    write_json(cell.model, {"name": "tiny-gptj", "parameters": 50_000, "dtype_stored": "fp32"})
    lay_out(cell)
    cell.run("base", {}, f"sweep/{CELL}/base.parquet")
    for layer in (0, 1):
        cell.reduce(layer, RHOS, GRID["matrices"])
        for path in cell.sweep(layer, RHOS, GRID["matrices"]):
            below = cell.folder / path.relative_to(cell.folders.results)
            below.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, below)
    selection = cell.folder / f"selection/{CELL}.json"
    selection.parent.mkdir(parents=True)
    shutil.copyfile(cell.select(GRID, RHOS), selection)
    cell.run("test_intervention", {}, f"test/{CELL}.parquet", selection=selection)
    spec = {"grid": GRID, "rhos": RHOS, "examples": 6}
    gradients = cell.run("gradients", spec, f"gradients/{CELL}.json")
    spec = {"published_choice": PUBLISHED, "cheap_search": {"keep": 2, "layers": [0, 1], "rhos": RHOS}}
    given = {"selection": selection, "gradients": gradients}
    cell.run("evaluate_choices", spec, f"choices/{CELL}.parquet", **given)
    cell.run("evaluate_baselines", {"seeds": [0, 1, 2]}, f"baselines/{CELL}.parquet", selection=selection)
    _perplexity(cell, selection)
    return cell.folder


def _perplexity(cell, selection):
    text = cell.folder / "text.parquet"
    texts = [" ".join(["Paris is the capital of France and the yen is of Japan ."] * 9)] * 3
    write_parquet(text, pd.DataFrame({"text": texts}), {})
    given = {"text": text, "selection": selection}
    cell.run("evaluate_perplexity", {"text_key": "text"}, f"perplexity/{CELL}.parquet", **given)


def table(folder, into, name):
    settings = {
        "power": {"policies": False},
        "search": {"racing": {"error": 0.05, "blocks": 3}},
    }.get(name, {})
    spec = spec_of(name, [tuple(CELL.split("/"))], layers=(0, 1), rhos=RHOS, **settings)
    (frame,) = data_of(folder, spec, into)
    return frame


TABLES = ("power", "search", "perplexity", "generic")
"""Tables that the audit's study, which the whole pipeline makes, does not have."""


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


def test_baselines_are_compared_with_laser_on_the_rows_of_the_test_file(files, tmp_path):
    frame = table(files, tmp_path, "baselines").set_index(["protocol", "metric", "baseline"])
    rows, tested = (read_parquet(files / f"{kind}/{CELL}.parquet") for kind in ("baselines", "test"))
    laser = tested[tested["arm"] == "laser"].groupby("protocol")
    for (protocol, name), part in rows.groupby(["protocol", "baseline"]):
        line = frame.loc[protocol, "accuracy", name]
        assert line["value"] == pytest.approx(100 * part["correct"].mean())
        assert line["difference"] == pytest.approx(100 * laser["correct"].mean()[protocol] - line["value"])
        loss = frame.loc[protocol, "loss", name]
        if name == "forbidden_words":
            assert math.isnan(loss["value"]) and "probabilities" in loss["not_compared"]
        else:
            difference = laser["loss"].mean()[protocol] - part["loss"].mean()
            assert loss["difference"] == pytest.approx(difference)
            assert math.isnan(loss["p_holm"]) if name == "base" else loss["p_holm"] >= loss["p_value"]
    open_answers = frame.xs("calibrated", level="baseline")
    assert open_answers["not_compared"].str.contains("open").all() and open_answers["value"].isna().all()


def test_baselines_of_another_choice_are_refused(files, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(files, copy)
    path = copy / f"baselines/{CELL}.parquet"
    spec = read_spec(path)
    write_parquet(path, read_parquet(path), spec | {"chosen": dict.fromkeys(PROTOCOLS)})
    with pytest.raises(UserError, match="lacks its baselines at the chosen intervention"):
        table(copy, tmp_path / "made", "baselines")


def test_costs_of_both_searches_are_those_of_the_run(files, tmp_path):
    frame = table(files, tmp_path, "search")
    selection = read_json(files / f"selection/{CELL}.json")
    candidates = len(selection["protocols"]["corrected"]["candidates"])
    assert (frame["evaluations"] == (candidates + 1) * frame["n"].map({18: 12, 20: 10})).all() and candidates == 12
    assert (frame["gradient_evaluations"] == (2 * len(RHOS) + 1) * 6).all() and frame["whole_grid"].all()
    assert frame["racing_same"].all() and (frame["racing_evaluations"] <= frame["evaluations"]).all()
    assert (frame["racing_saving"] == frame["evaluations"] / frame["racing_evaluations"]).all()
