"""One intervention for several datasets: the generic choice by hand, and test rows at the choices of other datasets."""

import itertools

import pytest

from laser.errors import UserError
from laser.evaluation.cell import answers_for, intervention, result_rows
from laser.evaluation.generic_choice import generic_choice, standardised_gain
from laser.evaluation.select import select
from laser.evaluation.transfer import further, transferred
from laser.io.files import read_json, read_parquet, read_spec, write_json
from tests.evaluation.tiny_cell import TinyCell, rows

MATRICES = ["u_in", "u_out"]
A, B, C = (
    {"matrix": matrix, "layer": layer, "rho": rho, "kept_rank": kept}
    for matrix, layer, rho, kept in (("u_in", 0, 0.5, 16), ("u_out", 1, 0.1, 3), ("u_in", 1, 0.1, 3))
)


def part(base, *candidates, n=100):
    """One dataset's selection under one protocol: accuracies with a loss of 1, or (accuracy, loss)."""

    def scores(value):
        accuracy, loss = value if isinstance(value, tuple) else (value, 1.0)
        return {"accuracy": float(accuracy), "loss": loss, "n": n}

    listed = [site | scores(value) for site, value in candidates]
    return {"validation": {"base": scores(base)}, "candidates": listed, "chosen": None}


def chosen(parts, protocol="published"):
    return generic_choice(parts, MATRICES, protocol)["chosen"]


def test_a_gain_is_measured_by_the_spread_of_the_base_models_rows():
    base = {"accuracy": 50.0, "n": 98}
    assert standardised_gain({"accuracy": 60.0}, base) == pytest.approx(0.2)
    sure = {"accuracy": 10.0, "n": 98}  # 9.8 of 98 right; (9.8 + 1) / 100
    assert standardised_gain({"accuracy": 20.0}, sure) == pytest.approx(0.1 / (0.108 * 0.892) ** 0.5)
    # A base model that is right, or wrong, on every row has a spread as well.
    assert standardised_gain({"accuracy": 10.0}, {"accuracy": 0.0, "n": 98}) == pytest.approx(
        0.1 / (0.01 * 0.99) ** 0.5
    )
    assert standardised_gain({"accuracy": 90.0}, {"accuracy": 100.0, "n": 98}) < 0


def test_the_best_of_all_datasets_need_be_the_best_of_none():
    first, second = part(50, (A, 60), (B, 40), (C, 58)), part(50, (A, 40), (B, 60), (C, 58))
    assert chosen([first]) == A and chosen([second]) == B
    assert chosen([first, second]) == C
    assert generic_choice([first, second], MATRICES, "published")["gain"] == pytest.approx(
        standardised_gain({"accuracy": 58.0}, {"accuracy": 50.0, "n": 100})
    )


def test_points_count_more_where_the_base_model_varies_less():
    """Five points at 5 % are a larger effect than eight at 50 %."""
    rare, even = part(5, (A, 10), (B, 5)), part(50, (A, 50), (B, 58))
    assert chosen([rare, even]) == A
    assert chosen([part(50, (A, 55), (B, 50)), even]) == B


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([(A, (60, 2.0)), (B, (60, 1.0))], B),  # the lower loss
        ([(A, 60), (C, 60)], C),  # the later layer
        ([(B, 60), (C, 60)], C),  # the grid's order of matrices
        ([(C | {"rho": 0.5}, 60), (C, 60)], C),  # the smaller rho
        ([(A, (90, None)), (B, 10)], B),  # one that overflows comes last
    ],
)
def test_ties_go_as_in_the_selection(candidates, expected):
    for order in itertools.permutations(candidates):
        assert chosen([part(50, *order), part(50, *candidates)]) == expected


def test_base_is_a_candidate_under_corrected_alone_and_wins_ties():
    worse, equal = part(50, (A, 40)), part(50, (A, 50))
    assert chosen([worse], "published") == A and chosen([worse], "corrected") is None
    assert chosen([equal], "corrected") is None
    assert chosen([part((50, 2.0), (A, (50, 1.0)))], "corrected") == A
    assert generic_choice([worse], MATRICES, "corrected")["gain"] == 0.0
    # A gain on one dataset and the same loss on the other.
    assert chosen([part(50, (A, 60)), part(50, (A, 40))], "corrected") is None


def test_only_what_all_datasets_have_is_compared():
    assert chosen([part(50, (A, 60), (B, 90)), part(50, (A, 60))]) == A
    with pytest.raises(UserError, match="no intervention was scored on all datasets"):
        chosen([part(50, (A, 60)), part(50, (B, 60))])


def test_each_distinct_choice_is_evaluated_once_and_none_that_the_test_file_has():
    own, generic = part(50, (A, 60), (B, 50)) | {"chosen": A}, part(50, (A, 50), (B, 60)) | {"chosen": B}
    base = part(50, (A, 40), (B, 40))
    said = transferred(
        {"x": {"corrected": own}, "y": {"corrected": generic}, "z": {"corrected": base}}, "x", MATRICES, "corrected"
    )
    assert said["chosen_on"] == {"x": A, "y": B, "z": None}
    # Left out is x itself: on y and z together B gains 10 points and loses 10.
    assert said["generic"] == {"chosen": None, "gain": 0.0, "candidates": 2}
    assert further(said, "x") == [B] and further(said, "y") == [A]
    assert further(said | {"generic": {"chosen": C}}, "x") == [B, C]
    assert further({"chosen_on": {"x": A, "y": A}, "generic": {"chosen": A}}, "x") == []


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A tiny model with selections of three datasets, of which the cell's own is the first."""
    made = TinyCell(tmp_path_factory.mktemp("transfer"), "llama")
    made.write_rows(rows("worldfacts"))
    grid = {"matrices": ["u_gate", "u_out"], "layers": [0, 1]}
    made.run("base", {}, "base.parquet")
    for layer in (0, 1):
        made.sweep(layer, [0.5, 0.1], grid["matrices"])
        made.reduce(layer, [0.5, 0.1], grid["matrices"])
    made.own = read_json(made.select(grid, [0.5, 0.1]))
    other = {name: others_of(held) for name, held in made.own["protocols"].items()}
    for dataset in ("second", "third"):
        path = made.folders.path("selection", model=made.cell["model"], dataset=dataset)
        write_json(path, made.own | {"dataset": dataset, "protocols": other})
    return made


def others_of(held):
    """The selection of a dataset on which the worst intervention gains 20 points and all others lose."""
    base = held["validation"]["base"]
    last = [each | {"accuracy": base["accuracy"] - 5} for each in held["candidates"]]
    last[-1] |= {"accuracy": base["accuracy"] + 20, "loss": 1.0}
    best = {key: last[-1][key] for key in ("matrix", "layer", "rho", "kept_rank")}
    return held | {"candidates": last[::-1], "chosen": best}


SPEC = {"datasets": ["worldfacts", "second", "third"], "matrices": ["u_gate", "u_out"]}


def test_rows_are_those_of_the_intervention_on_the_cells_own_test_rows(cell):
    path = cell.run("evaluate_transfer", SPEC, "transfer.parquet")
    frame, said, data = read_parquet(path), read_spec(path)["transferred"], read_parquet(cell.data)
    opened = cell.open("test")
    for protocol in cell.spec["protocols"]:
        chosen_on, best = said[protocol]["chosen_on"], others_of(cell.own["protocols"][protocol])["chosen"]
        assert chosen_on["worldfacts"] == cell.own["protocols"][protocol]["chosen"]
        assert chosen_on["second"] == chosen_on["third"] == said[protocol]["generic"]["chosen"] == best
        of_protocol = frame[frame["protocol"] == protocol].reset_index(drop=True)
        assert of_protocol["id"].tolist() == data.loc[data[f"split_{protocol}"] == "test", "id"].tolist()
        assert of_protocol[["matrix", "layer", "rho"]].drop_duplicates().values.tolist() == [
            [best["matrix"], best["layer"], best["rho"]]
        ]
        edit = (intervention(opened, protocol, best["matrix"], best["layer"], best["rho"]),)
        (answers,) = answers_for(opened, [edit], lambda done: None)
        assert (of_protocol["loss"] - result_rows(opened, answers, protocol)["loss"]).abs().max() < 1e-5


def test_where_every_choice_is_known_the_file_has_columns_and_no_model_is_read(cell, monkeypatch):
    path = cell.folders.path("selection", model=cell.cell["model"], dataset="second")
    before = path.read_bytes()
    monkeypatch.setattr("laser.evaluation.transfer.job_cell", lambda *_: pytest.fail("the model is read"))
    try:
        write_json(path, cell.own | {"dataset": "second"})
        made = cell.run("evaluate_transfer", SPEC | {"datasets": ["worldfacts", "second"]}, "none.parquet")
    finally:
        path.write_bytes(before)
    frame = read_parquet(made)
    assert frame.empty and list(frame.columns[:5]) == ["protocol", "matrix", "layer", "rho", "id"]
    assert "run" not in read_spec(made) and set(read_spec(made)["transferred"]) == set(cell.spec["protocols"])


def test_of_one_dataset_the_generic_choice_is_the_selections():
    """The rule without a second dataset is the rule of the selection, on rows of every outcome."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    for _ in range(20):
        base = pd.DataFrame({"protocol": "corrected", "id": range(12), "correct": draw.random(12) < 0.5, "loss": 1.0})
        swept = pd.concat(
            [
                pd.DataFrame({"id": range(12), "correct": draw.random(12) < 0.5, "loss": draw.integers(1, 3)})
                .assign(protocol="corrected", matrix=matrix, layer=layer, rho=rho)
                for matrix, layer, rho in itertools.product(MATRICES, (0, 1), (0.5, 0.1))
            ]
        )  # fmt: skip
        kept = dict.fromkeys(itertools.product(MATRICES, (0, 1), (0.5, 0.1)), 3)
        selected = select(base, swept, MATRICES, kept)["corrected"]
        assert chosen([selected], "corrected") == selected["chosen"]
