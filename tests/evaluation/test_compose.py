"""Greedy composition: the stated rule, the model restored, the test rows untouched."""

import itertools
import json
import random
from functools import cache

import pytest
import torch

from laser.config.specs import ComposeSpec
from laser.engine import naive
from laser.evaluation.cell import answers_for, intervention, of_protocol, result_rows
from laser.evaluation.compose import RULE, compose, prefixes, search, worth
from laser.io.files import read_json, read_parquet, read_spec
from laser.reduction.interventions import Intervention
from tests.evaluation.tiny_cell import FAMILIES, TinyCell, by_family, rows

BUILDERS = {"llama": "fever", "gptj": "worldfacts", "roberta": "qa_wikidata"}
RHOS = [0.6, 0.3, 0.1]
PROTOCOLS = ["published", "corrected"]


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, lambda folder, family: TinyCell(folder, family, BUILDERS[family]))


def settings():
    return {"matrices": ["u_in", "u_out"], "layers": [0, 1], "rhos": RHOS}


@pytest.fixture(scope="module")
def composed(cell_of):
    """Return what composes a family's cell, once."""
    return cache(lambda family: cell_of(family).run("compose_layers", settings(), "compose.json"))


# The search alone, on made-up scores


def scored(accuracy, loss):
    return {"accuracy": accuracy, "loss": loss, "n": 4}


def table(scores):
    """Return an evaluator of fixed scores per place and rho, and what was accepted so far at each call."""
    calls, accepted = [], []

    def evaluate(layer, matrix):
        calls.append((layer, matrix, tuple(accepted)))
        return [{"rho": rho, "kept_rank": 1, **one} for rho, one in scores[layer, matrix].items()]

    return evaluate, lambda *edit: accepted.append(edit), calls, accepted


def test_a_search_that_never_improves_accepts_nothing():
    scores = {(1, "u_in"): {0.5: scored(50, 1.0), 0.1: scored(25, 0.1)}, (0, "u_in"): {0.5: scored(50, 1.5)}}
    evaluate, accept, calls, accepted = table(scores)
    steps = search(scored(50, 1.0), list(scores), evaluate, accept)
    assert accepted == []
    assert [one["accepted"] for one in steps] == [False, False]
    assert [one["rho"] for one in steps] == [0.5, 0.5]
    assert calls == [(1, "u_in", ()), (0, "u_in", ())]


def test_accepted_edits_raise_the_bar_and_stand_under_all_that_follow():
    scores = {
        (1, "u_in"): {0.5: scored(75, 2.0), 0.1: scored(75, 1.5)},
        (1, "u_out"): {0.5: scored(75, 1.6)},
        (0, "u_in"): {0.5: scored(75, 1.4), 0.1: scored(74, 0.1)},
    }
    evaluate, accept, calls, accepted = table(scores)
    steps = search(scored(50, 1.0), list(scores), evaluate, accept)
    assert accepted == [(1, "u_in", 0.1), (0, "u_in", 0.5)]
    assert [one["accepted"] for one in steps] == [True, False, True]
    assert calls[1][2] == calls[2][2] == ((1, "u_in", 0.1),)


def test_equal_candidates_give_the_smaller_rank_and_equal_to_the_best_so_far_is_not_enough():
    scores = {
        (1, "u_in"): {0.5: scored(60, 1.0), 0.1: scored(60, 1.0)},
        (0, "u_in"): {0.5: scored(60, 1.0)},
    }
    evaluate, accept, _, accepted = table(scores)
    search(scored(50, 1.0), list(scores), evaluate, accept)
    assert accepted == [(1, "u_in", 0.1)]


def test_an_edit_that_overflows_is_never_accepted():
    scores = {(0, "u_in"): {0.5: scored(100, None), 0.1: scored(51, 9.0)}}
    evaluate, accept, _, accepted = table(scores)
    search(scored(50, 1.0), list(scores), evaluate, accept)
    assert accepted == [(0, "u_in", 0.1)]
    assert worth(scored(100, None)) < worth(scored(0, 1e9))


@pytest.mark.parametrize("seed", range(20))
def test_every_accepted_step_is_better_than_all_before_it(seed):
    source = random.Random(seed)
    places = [(layer, matrix) for layer in (3, 2, 1, 0) for matrix in ("u_in", "u_out")]
    scores = {
        place: {rho: scored(source.randrange(5) * 25, source.choice([0.5, 1.0, 2.0])) for rho in RHOS}
        for place in places
    }
    evaluate, accept, _, accepted = table(scores)
    steps = search(scored(25, 1.0), places, evaluate, accept)
    bars = [worth(scored(25, 1.0))] + [worth(one) for one in steps if one["accepted"]]
    assert bars == sorted(bars) and len(set(bars)) == len(bars)
    assert len(accepted) == len(bars) - 1
    for one in steps:
        assert worth(one) == max(map(worth, one["candidates"]))
        assert one["accepted"] or worth(one) <= max(bars)


# On models


def weights(loaded):
    return {name: one.clone() for name, one in loaded.model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_search_on_a_model_is_the_plain_one(cell_of, composed, family):
    """The same search, every set of edits evaluated whole by the reference engine from the unmodified model."""
    cell = cell_of(family)
    made = read_json(composed(family))
    assert made["rule"] == RULE
    for protocol in PROTOCOLS:
        opened = of_protocol(cell.open(), protocol)

        def scores(edits, opened=opened, protocol=protocol):
            (answers,) = naive.evaluate(opened.loaded, opened.questions.requests, [tuple(edits)], opened.store)
            frame = result_rows(opened, answers, protocol)
            return 100 * frame["correct"].mean(), frame["loss"].mean()

        def step(matrix, layer, rho, opened=opened, protocol=protocol):
            return intervention(opened, protocol, matrix, layer, rho)

        found = made["protocols"][protocol]
        accepted, best = [], (found["base"]["accuracy"], found["base"]["loss"])
        assert best == pytest.approx(scores([]), abs=1e-4)
        for place in found["steps"]:
            for tried in place["candidates"]:
                expected = scores([*accepted, step(place["matrix"], place["layer"], tried["rho"])])
                assert (tried["accuracy"], tried["loss"]) == pytest.approx(expected, abs=1e-4)
            better = (place["accuracy"], -place["loss"]) > (best[0], -best[1])
            assert place["accepted"] is better
            if better:
                accepted.append(step(place["matrix"], place["layer"], place["rho"]))
                best = place["accuracy"], place["loss"]
        order = [(one["layer"], one["matrix"]) for one in found["steps"]]
        assert order == [(1, "u_in"), (1, "u_out"), (0, "u_in"), (0, "u_out")]
        assert [(one["matrix"], one["layer"], one["rho"]) for one in found["chosen"]] == [
            (one.matrix, one.layer, one.rho) for one in accepted
        ]


def test_something_is_accepted_and_something_is_not(composed):
    """Otherwise the tests on models would hold for a search that does nothing."""
    accepted = [
        one["accepted"]
        for family in FAMILIES
        for found in read_json(composed(family))["protocols"].values()
        for one in found["steps"]
    ]
    assert True in accepted and False in accepted


@pytest.mark.parametrize("engine", ["fast", "naive"])
def test_the_model_is_restored_exactly(cell_of, engine, monkeypatch):
    cell = cell_of("llama")
    opened = cell.open(engine=engine)
    before = weights(opened.loaded)
    worths = itertools.count()
    monkeypatch.setattr("laser.evaluation.compose.job_cell", lambda *arguments: opened)
    # Every candidate is better than all before it, so that edits are made at every place.
    monkeypatch.setattr("laser.evaluation.compose.worth", lambda scores: next(worths))
    made = compose(cell.job(ComposeSpec, settings() | {"engine": engine}))
    assert [len(one["chosen"]) for one in made.values()] == [4, 4]
    assert all(torch.equal(before[name], one) for name, one in opened.loaded.model.named_parameters())


def test_the_model_is_restored_after_an_error(cell_of, monkeypatch):
    cell = cell_of("llama")
    opened = cell.open()
    before = weights(opened.loaded)
    edits = [Intervention("u_in", 1, 0.1), Intervention("u_out", 1, 0.1), Intervention("u_out", 7, 0.1)]
    with pytest.raises(Exception, match="layer 7"):
        list(prefixes(opened, edits, lambda done: None))
    assert all(torch.equal(before[name], one) for name, one in opened.loaded.model.named_parameters())


@pytest.mark.parametrize("engine", ["fast", "naive"])
def test_prefixes_are_edits_made_at_once(cell_of, engine):
    opened = cell_of("llama").open(engine=engine)
    edits = [
        intervention(opened, protocol, matrix, layer, 0.3)
        for protocol, matrix, layer in (("published", "u_in", 1), ("corrected", "u_out", 1), ("corrected", "o", 0))
    ]
    whole = [tuple(edits[:count]) for count in range(4)]
    expected = list(naive.evaluate(opened.loaded, opened.questions.requests, whole, opened.store))
    found = list(prefixes(opened, edits, lambda done: None))
    for one, other in zip(expected, found, strict=True):
        left, right = result_rows(opened, one, "corrected"), result_rows(opened, other, "corrected")
        assert (left["loss"] - right["loss"]).abs().max() < 1e-4
        assert left["prediction"].tolist() == right["prediction"].tolist()
    losses = [result_rows(opened, one, "corrected")["loss"].mean() for one in found]
    assert len({round(loss, 6) for loss in losses}) == 4


def test_test_rows_play_no_part(cell_of, tmp_path):
    cell = TinyCell(tmp_path, builder="fever")
    before = cell.run("compose_layers", settings(), "a.json").read_bytes()
    changed, other = rows("fever"), rows("fever", seed=5)
    test = (changed["split_published"] == "test") & (changed["split_corrected"] == "test")
    changed.loc[test, ["text", "prompt", "answer"]] = other.loc[test, ["text", "prompt", "answer"]]
    assert not changed.equals(rows("fever"))
    cell.write_rows(changed)
    assert cell.run("compose_layers", settings(), "b.json").read_bytes() == before


def test_the_rows_that_the_search_is_scored_on(cell_of, monkeypatch):
    cell = cell_of("gptj")
    data = read_parquet(cell.data)
    seen = []

    def spy(opened, edits, count):
        seen.append({one.example.id for one in opened.questions.items})
        return answers_for(opened, edits, count)

    monkeypatch.setattr("laser.evaluation.compose.answers_for", spy)
    compose(cell.job(ComposeSpec, settings()))
    allowed = [set(data.loc[data[f"split_{name}"] == "validation", "id"]) for name in PROTOCOLS]
    assert all(one in allowed for one in seen)
    assert set(map(frozenset, seen)) == set(map(frozenset, allowed))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_test_rows_are_scored_once_per_accepted_edit(cell_of, composed, family):
    cell = cell_of(family)
    path = cell.run("compose_test", {}, "compose.parquet", composition=composed(family))
    frame, data = read_parquet(path), read_parquet(cell.data)
    for protocol, found in read_json(composed(family))["protocols"].items():
        own = frame[frame["protocol"] == protocol]
        assert sorted(own["step"].unique()) == list(range(len(found["chosen"]) + 1))
        for _, part in own.groupby("step"):
            assert part["id"].tolist() == data.loc[data[f"split_{protocol}"] == "test", "id"].tolist()
        assert read_spec(path)["chosen"][protocol] == found["chosen"]


def test_nothing_accepted_leaves_base_alone(cell_of, tmp_path):
    cell = cell_of("llama")
    nothing = tmp_path / "none.json"
    empty = {"base": {}, "steps": [], "chosen": []}
    nothing.write_text(json.dumps({"protocols": dict.fromkeys(PROTOCOLS, empty)}))
    frame = read_parquet(cell.run("compose_test", {}, "none.parquet", composition=nothing))
    assert set(frame["step"]) == {0}
    assert set(frame["protocol"]) == set(PROTOCOLS)
