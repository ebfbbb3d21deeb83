"""What rules for ρ choose: by hand, and as the scripts make it for a tiny model."""

import pytest
import torch

from laser.evaluation.rank_rules import ruled
from laser.io.files import read_json, read_parquet, read_spec
from laser.models.adapter import parameter_view
from laser.reduction.rank_rules import describe, nearest_rho
from tests.evaluation.tiny_cell import TinyCell

RHOS = [0.9, 0.5, 0.1]
GRID = {"matrices": ["u_gate", "u_out"], "layers": [0, 1]}


def record(matrix, layer, above, effective):
    return {"matrix": matrix, "layer": layer, "shape": [10, 20], "above": above, "effective_rank": effective}


def candidate(matrix, layer, rho, accuracy):
    kept = int(10 * rho)
    return {"matrix": matrix, "layer": layer, "rho": rho, "kept_rank": kept, "accuracy": accuracy, "loss": 1.0, "n": 20}


SPECTRA = [record("u_in", 0, 1, 9.2), record("u_out", 0, 5, 4.4)]
SELECTED = {
    "validation": {"base": {"accuracy": 50.0, "loss": 1.0, "n": 20}},
    "candidates": [
        candidate("u_in", 0, 0.5, 90.0),  # the grid's best, which neither rule says
        candidate("u_out", 0, 0.5, 60.0),
        candidate("u_in", 0, 0.1, 55.0),
        candidate("u_in", 0, 0.9, 45.0),
        candidate("u_out", 0, 0.9, 80.0),
        candidate("u_out", 0, 0.1, 85.0),
    ],
}


def test_a_rule_says_rho_and_validation_the_matrix():
    said = ruled(SELECTED, SPECTRA, ["u_in", "u_out"], RHOS, "corrected")
    assert set(said) == {"edge", "effective_rank"}
    for rule in said.values():
        assert rule["chosen"] == {"matrix": "u_out", "layer": 0, "rho": 0.5, "kept_rank": 5} and rule["candidates"] == 2
    other = [SPECTRA[0], record("u_out", 0, 0, 10.0)]
    said = ruled(SELECTED, other, ["u_in", "u_out"], RHOS, "corrected")
    assert (said["edge"]["chosen"]["rho"], said["effective_rank"]["chosen"]["rho"]) == (0.1, 0.9)


def test_base_wins_where_a_rules_candidates_are_worse():
    worse = {**SELECTED, "candidates": [{**each, "accuracy": 40.0} for each in SELECTED["candidates"]]}
    assert ruled(worse, SPECTRA, ["u_in", "u_out"], RHOS, "corrected")["edge"]["chosen"] is None
    assert ruled(worse, SPECTRA, ["u_in", "u_out"], RHOS, "published")["edge"]["chosen"]["rho"] == 0.1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    cell = TinyCell(tmp_path_factory.mktemp("rules"), "llama")
    cell.run("base", {}, "base.parquet")
    for layer in GRID["layers"]:
        cell.sweep(layer, RHOS, GRID["matrices"])
        cell.reduce(layer, RHOS, GRID["matrices"])
    cell.selected = read_json(cell.select(GRID, RHOS))["protocols"]
    shared = {key: cell.spec[key] for key in ("model", "compute", "code", "format")}
    cell.script("spectra", {"grid": GRID, "rhos": RHOS}, shared)
    cell.spectra = read_json(cell.folders.path("spectra", model=cell.cell["model"]))["matrices"]
    cell.rows = cell.run("evaluate_rank_rules", {"matrices": GRID["matrices"], "rhos": RHOS}, "rank_rules.parquet")
    return cell


def test_spectra_are_those_of_the_models_matrices(made):
    loaded = made.open().loaded
    assert [(each["layer"], each["matrix"]) for each in made.spectra] == [
        (layer, matrix) for layer in GRID["layers"] for matrix in GRID["matrices"]
    ]
    for each in made.spectra:
        weight = parameter_view(loaded.model, loaded.config, each["layer"], each["matrix"], loaded.mapping)
        expected = describe(torch.linalg.svdvals(weight.float()).numpy(), tuple(weight.shape))
        assert each["shape"] == list(weight.shape) and each["above"] == expected["above"]
        assert each["edge"] == pytest.approx(expected["edge"], rel=1e-4)
        reduced = read_json(made.folders.path("reduction", model=made.cell["model"], layer=each["layer"], rho=0.5))
        assert each["effective_rank"] == pytest.approx(reduced["matrices"][each["matrix"]]["effective_rank"], rel=1e-6)


def test_rows_are_those_of_what_the_rules_chose(made):
    frame, said = read_parquet(made.rows), read_spec(made.rows)["ruled"]
    for protocol in made.spec["protocols"]:
        assert said[protocol] == ruled(made.selected[protocol], made.spectra, GRID["matrices"], RHOS, protocol)
        for rule, rank in (("edge", "above"), ("effective_rank", "effective_rank")):
            choice = said[protocol][rule]["chosen"]
            if choice is not None:
                (of,) = [
                    each
                    for each in made.spectra
                    if (each["matrix"], each["layer"]) == (choice["matrix"], choice["layer"])
                ]
                assert choice["rho"] == nearest_rho(of[rank], of["shape"], RHOS)
        own = made.selected[protocol]["chosen"]
        wanted = {
            tuple(choice["chosen"][key] for key in ("matrix", "layer", "rho"))
            for choice in said[protocol].values()
            if choice["chosen"] not in (None, own)
        }
        rows = frame[frame["protocol"] == protocol]
        assert set(rows[["matrix", "layer", "rho"]].itertuples(index=False, name=None)) == wanted
