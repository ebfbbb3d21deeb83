"""The cheap search: the ranking's rule, what is chosen from it, and the sweep restricted to it."""

import json
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from laser.errors import UserError
from laser.evaluation.cell import answers_for, first_rows, of_protocol, result_rows
from laser.evaluation.gradient_candidates import surviving
from laser.evaluation.gradients import choose, predicted_changes, rank_places
from laser.evaluation.select import select
from laser.io.files import read_json
from laser.reduction.svd import exact_svd
from tests.evaluation.tiny_cell import TinyCell, by_family, rows

RHOS = [0.8, 0.5, 0.2, 0.0]
BUILDERS = {"gptj": "fever"}


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, lambda folder, family: TinyCell(folder, family, BUILDERS[family]))


def settings(cell, **changes):
    grid = {"matrices": cell.matrices, "layers": [0, 1]}
    return {"grid": grid, "rhos": RHOS, "examples": 8} | changes


def all_places(cell):
    return [(layer, matrix) for layer in (0, 1) for matrix in cell.matrices]


# The ranking and the choice


def changes(*values):
    return [{"rho": rho, "kept_rank": 1, "change": value} for rho, value in zip((0.5, 0.1), values, strict=True)]


def test_places_are_ordered_by_their_lowest_prediction():
    predicted = {
        (0, "u_in"): changes(0.5, 0.2),
        (1, "u_in"): changes(-0.5, 0.9),
        (0, "u_out"): changes(-0.1, -0.5),
        (1, "u_out"): changes(-0.5, -0.5),
    }
    found = rank_places(predicted, ["u_in", "u_out"])
    assert [(one["order"], one["layer"], one["matrix"], one["rho"]) for one in found] == [
        (1, 1, "u_in", 0.5),
        (2, 1, "u_out", 0.1),
        (3, 0, "u_out", 0.1),
        (4, 0, "u_in", 0.1),
    ]
    assert [one["score"] for one in found] == [-0.5, -0.5, -0.5, 0.2]


@pytest.fixture(scope="module")
def ranked(cell_of):
    """Return a ranking and the whole sweep of a cell, both made by the scripts."""
    cell = cell_of("gptj")
    ranking = read_json(cell.run("gradients", settings(cell), "gradients.json"))
    kinds = {"kinds": ["svd"], "matrices": cell.matrices, "rhos": RHOS}
    files = [cell.run("landscape", kinds | {"layer": layer}, f"layer{layer}.parquet") for layer in (0, 1)]
    return ranking, pd.concat(map(pd.read_parquet, files), ignore_index=True)


def test_the_file_of_a_cell(cell_of, ranked):
    cell, (ranking, _) = cell_of("gptj"), ranked
    again = cell.run("gradients", settings(cell), "again.json")
    assert again.read_bytes() == (cell.folder / "gradients.json").read_bytes()
    data = pd.read_parquet(cell.data)
    for protocol, found in ranking["protocols"].items():
        first = data.loc[data[f"split_{protocol}"] == "validation", "id"].tolist()[:8]
        assert [one["id"] for one in found["examples"]] == first
        assert found["loss"] == pytest.approx(sum(one["loss"] for one in found["examples"]) / len(first), abs=1e-5)
        assert {(one["layer"], one["matrix"]) for one in found["places"]} == set(all_places(cell))
        assert [each["rho"] for each in found["places"][0]["predicted"]] == RHOS
    assert ranking["protocols"]["published"]["places"] != ranking["protocols"]["corrected"]["places"]


def test_test_rows_play_no_part(cell_of, tmp_path):
    cell = TinyCell(tmp_path, "gptj", "fever")
    before = cell.run("gradients", settings(cell), "a.json").read_bytes()
    changed, other = rows("fever"), rows("fever", seed=5)
    test = (changed["split_published"] == "test") & (changed["split_corrected"] == "test")
    changed.loc[test, ["text", "prompt", "answer"]] = other.loc[test, ["text", "prompt", "answer"]]
    cell.write_rows(changed)
    assert cell.run("gradients", settings(cell), "b.json").read_bytes() == before


def test_keeping_every_place_is_exhaustive_on_the_same_rows(cell_of, ranked):
    cell, (ranking, swept) = cell_of("gptj"), ranked
    found = choose(ranking, swept, len(all_places(cell)))
    for protocol, one in found.items():
        ids = [each["id"] for each in ranking["protocols"][protocol]["examples"]]
        opened = first_rows(of_protocol(cell.open(), protocol), 8)
        (answers,) = answers_for(opened, [()], lambda done: None)
        own = swept[swept["id"].isin(ids)]
        kept = {(matrix, layer, rho): int(rho * 32) for layer, matrix in all_places(cell) for rho in RHOS}
        expected = select(result_rows(opened, answers, protocol), own, cell.matrices, kept)[protocol]
        assert one["chosen"] == expected["chosen"]
        assert one["evaluations"] == one["exhaustive_evaluations"] == len(kept)


@pytest.mark.parametrize("keep", [1, 3])
def test_only_surviving_places_and_own_examples_are_looked_at(cell_of, ranked, keep):
    cell, (ranking, swept) = cell_of("gptj"), ranked
    places = surviving(ranking, keep)
    found = choose(ranking, swept, keep)
    for protocol, one in found.items():
        first = [(place["layer"], place["matrix"]) for place in ranking["protocols"][protocol]["places"][:keep]]
        assert places[protocol] == set(first)
        assert {(each["layer"], each["matrix"]) for each in one["candidates"]} == set(first)
        assert one["evaluations"] == keep * len(RHOS)
        assert one["exhaustive_evaluations"] == len(all_places(cell)) * len(RHOS)
        assert (one["examples"], one["validation_examples"]) == (8, len(cell.open().sides[protocol]))
    # Rows of other places and other examples may say anything.
    ids = {p: {each["id"] for each in one["examples"]} for p, one in ranking["protocols"].items()}
    looked_at = [
        (row.layer, row.matrix) in places[row.protocol] and row.id in ids[row.protocol] for row in swept.itertuples()
    ]
    lied = swept.copy()
    lied.loc[[not one for one in looked_at], ["correct", "loss"]] = [True, 0.0]
    assert choose(ranking, lied, keep) == found


def test_a_sweep_of_surviving_places_alone_gives_the_same_choice(ranked):
    ranking, swept = ranked
    places = surviving(ranking, 2)
    mask = [(layer, matrix) in places[p] for layer, matrix, p in zip(swept.layer, swept.matrix, swept.protocol)]  # noqa: B905
    assert choose(ranking, swept[mask], 2) == choose(ranking, swept, 2)


def test_missing_rows_are_named(ranked):
    ranking, swept = ranked
    best = ranking["protocols"]["corrected"]["places"][0]
    gone = swept[(swept["matrix"] != best["matrix"]) | (swept["layer"] != best["layer"])]
    with pytest.raises(UserError, match=f"matrix {best['matrix']}, layer {best['layer']}"):
        choose(ranking, gone, 1)


def test_dropping_everything_is_predicted_from_gradient_and_weight():
    """At ρ = 0 the prediction is minus the inner product of gradient and weight."""
    torch.manual_seed(0)
    weight, gradient = torch.randn(7, 5), torch.randn(7, 5)
    (found,) = predicted_changes(gradient, exact_svd(weight), [0.0])
    assert found["change"] == pytest.approx(-float((weight * gradient).sum()), rel=1e-5)


# The sweep under `search: gradient`


def swept_by(cell, layer, ranking=None, keep=None, name="sweep"):
    """Run the sweep of one layer; return its files."""
    if ranking is not None:
        shutil.copyfile(ranking, cell.folders.path("gradients", **cell.cell))
    made = cell.sweep(layer, RHOS, cell.matrices, keep)
    return [path.rename(cell.folder / f"{name}{layer}-{rho}.parquet") for rho, path in zip(RHOS, made, strict=True)]


@pytest.mark.parametrize("keep", [1, 3])
def test_the_sweep_restricted_to_surviving_places(cell_of, ranked, keep):
    cell, (ranking, _) = cell_of("gptj"), ranked
    places = surviving(ranking, keep)
    key = ["protocol", "matrix", "layer", "rho", "id"]
    few, types, held = [], set(), {}
    for layer in (0, 1):
        paths = swept_by(cell, layer, cell.folder / "gradients.json", keep, f"kept{keep}")
        types |= {str(pq.read_schema(path).remove_metadata()) for path in paths}
        frames = [pd.read_parquet(path) for path in paths]
        few += frames
        held[layer] = sum(map(len, frames))
    assert len(types) == 1
    few = pd.concat(few, ignore_index=True)
    for protocol, own in few.groupby("protocol"):
        assert set(zip(own["layer"], own["matrix"], strict=True)) == places[protocol]
    if keep == 1 and len(set.union(*places.values())) == 1:
        assert 0 in held.values()
    whole = pd.concat([pd.read_parquet(path) for layer in (0, 1) for path in swept_by(cell, layer)])
    both = few.merge(whole, on=key, suffixes=("", "_whole"), validate="one_to_one")
    assert (
        len(both)
        == len(few)
        == sum(keep * len(RHOS) * len(cell.open().sides[protocol]) for protocol in cell.spec["protocols"])
    )
    assert (both["loss"] - both["loss_whole"]).abs().max() < 1e-5


def test_a_layer_without_surviving_places_has_files_without_rows(cell_of, ranked, tmp_path):
    cell, (ranking, _) = cell_of("gptj"), ranked
    ranking = json.loads(json.dumps(ranking))
    for found in ranking["protocols"].values():
        found["places"].sort(key=lambda one: -one["layer"])
    path = tmp_path / "ranking.json"
    path.write_text(json.dumps(ranking))
    (with_rows, *_), (without, *_) = (swept_by(cell, layer, path, 2, "half") for layer in (1, 0))
    assert len(pd.read_parquet(with_rows)) and not len(pd.read_parquet(without))
    frame = pd.concat([pd.read_parquet(without), pd.read_parquet(with_rows)], ignore_index=True)
    assert frame.dtypes.equals(pd.read_parquet(with_rows).dtypes)


def test_selection_accepts_a_sweep_of_surviving_places(cell_of, ranked):
    cell, (ranking, swept) = cell_of("gptj"), ranked
    opened = cell.open()
    (answers,) = answers_for(opened, [()], lambda done: None)
    base = pd.concat([result_rows(opened, answers, protocol) for protocol in cell.spec["protocols"]])
    places = surviving(ranking, 2)
    kept = {(matrix, layer, rho): int(rho * 32) for layer, matrix in all_places(cell) for rho in RHOS}
    mask = [(row.layer, row.matrix) in places[row.protocol] for row in swept.itertuples()]
    found = select(base, swept[mask], cell.matrices, kept)
    for protocol, one in found.items():
        assert len(one["candidates"]) == 2 * len(RHOS)
        assert {(each["layer"], each["matrix"]) for each in one["candidates"]} == places[protocol]
