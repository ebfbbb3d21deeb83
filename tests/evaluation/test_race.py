"""The race of a cell, and the sweep that it leaves, beside an exhaustive sweep of the same cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from laser.evaluation import race as module
from laser.evaluation.gradient_candidates import surviving
from laser.evaluation.racing import Race
from laser.io.files import read_json, read_parquet, read_spec
from tests.evaluation.tiny_cell import LAYERS, TinyCell

RHOS = [0.5, 0.1]
KEY = ["protocol", "matrix", "layer", "rho", "id"]


def grid(cell):
    return {"matrices": cell.matrices, "layers": list(range(LAYERS))}


def raced(cell, error=0.05, blocks=3, keep=None):
    """Run the race and take every layer's sweep from it; return the file of the race and the sweep's rows."""
    kept = {"keep": keep} if keep else {}
    cell.script("race", {"grid": grid(cell), "rhos": RHOS, "error": error, "blocks": blocks} | kept)
    for layer in range(LAYERS):
        cell.script("survivors", {"layer": layer, "matrices": cell.matrices, "rhos": RHOS})
    return cell.folders.path("race", **cell.cell), swept(cell)


def swept(cell):
    paths = cell.folders.each("sweep", **cell.cell, layer=range(LAYERS), rho=RHOS)
    return pd.concat([read_parquet(path) for path in paths], ignore_index=True)


def close(left, right):
    """Compare rows that were computed in other batches."""
    exact = [*KEY, "correct", "answer_tokens", "prediction", "in_top5", "in_top10"]
    pd.testing.assert_frame_equal(left[exact], right[exact])
    assert (left["loss"] - right["loss"]).abs().max() < 1e-4
    assert (left["answer_rank"] - right["answer_rank"]).abs().max() <= 1


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    cell = TinyCell(tmp_path_factory.mktemp("gptj"), "gptj")
    cell.script("base", {})
    for layer in range(LAYERS):
        cell.reduce(layer, RHOS, cell.matrices)
        cell.sweep(layer, RHOS, cell.matrices)
    cell.exhaustive = swept(cell)
    cell.selection = read_json(cell.select(grid(cell), RHOS))["protocols"]
    return cell


def test_what_nothing_stops_is_the_exhaustive_sweep(cell):
    path, rows = raced(cell, error=1e-9)
    close(rows, cell.exhaustive)
    whole = read_spec(path)["race"]
    assert all(facts["evaluations"] == facts["exhaustive_evaluations"] for facts in whole.values())
    sweep = cell.folders.path("sweep", **cell.cell, layer=0, rho=RHOS[0])
    assert {"rho", "run", "layer"} <= set(read_spec(sweep))


def test_what_is_stopped_has_no_rows_in_the_sweep_and_the_choice_is_of_whole_candidates(cell, monkeypatch):
    # On so few rows no candidate is beaten by the test itself.
    monkeypatch.setattr("laser.evaluation.racing.beaten", lambda more, less, unseen, level: more >= less)
    path, rows = raced(cell)
    facts, scored = read_spec(path)["race"], read_parquet(path)
    for protocol, own in scored.groupby("protocol"):
        sizes = own.groupby(KEY[1:-1]).size()
        assert (len(own), len(sizes)) == (facts[protocol]["evaluations"], facts[protocol]["candidates"])
        assert 0 < facts[protocol]["whole"] == (sizes == facts[protocol]["rows"]).sum() < len(sizes)
    assert facts["corrected"]["evaluations"] < facts["corrected"]["exhaustive_evaluations"]
    kept = cell.exhaustive.merge(rows[KEY], on=KEY, validate="one_to_one")
    close(rows, kept)
    selection = read_json(cell.select(grid(cell), RHOS))["protocols"]
    assert {name: len(part["candidates"]) for name, part in selection.items()} == {
        name: part["whole"] for name, part in facts.items()
    }


def test_what_the_gradients_leave_races(cell):
    cell.script("gradients", {"grid": grid(cell), "rhos": RHOS, "examples": 6})
    _, rows = raced(cell, error=1e-9, keep=2)
    places = surviving(read_json(cell.folders.path("gradients", **cell.cell)), 2)
    for protocol, own in rows.groupby("protocol"):
        assert set(zip(own["layer"], own["matrix"], strict=True)) == places[protocol]
    close(rows, cell.exhaustive.merge(rows[KEY], on=KEY))


def test_base_competes_where_the_protocol_lets_it(cell, monkeypatch):
    given = {}

    def run_race(rows, candidates, evaluate, base, rules):
        given[rules.error, len(given)] = base
        which, every = np.arange(candidates), np.arange(rows)
        evaluate(which, every)
        return Race(np.full(candidates, rows), rows, False)

    monkeypatch.setattr(module, "run_race", run_race)
    raced(cell)
    of_base = read_parquet(cell.folders.path("base", **cell.cell))
    published, corrected = given.values()
    assert published is None
    own = of_base[of_base["protocol"] == "corrected"]
    assert corrected[0].sum() == own["correct"].sum()
    assert corrected[1].mean() == pytest.approx(own["loss"].mean())
