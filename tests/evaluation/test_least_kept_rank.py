"""Selection among interventions that keep at least so many dimensions, beside selection among all."""

import pandas as pd
import pytest

from laser.analysis.stability import candidates_of, load_scores
from laser.errors import UserError
from laser.io.files import read_json, read_parquet
from laser_audit import selection as audited
from tests.evaluation.tiny_cell import TinyCell

RHOS = [0.5, 0.05, 0.001]
LAYERS = [0, 1]


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    cell = TinyCell(tmp_path_factory.mktemp("gptj"), "gptj")
    cell.script("base", {})
    for layer in LAYERS:
        cell.reduce(layer, RHOS, cell.matrices)
        cell.sweep(layer, RHOS, cell.matrices)
    return cell


def select(cell, **spec):
    shared = {key: cell.spec[key] for key in ("model", "dataset", "protocols", "code", "format")}
    grid = {"matrices": cell.matrices, "layers": LAYERS}
    cell.script("select_intervention", {"grid": grid, "rhos": RHOS} | spec, shared)
    return read_json(cell.folders.path("selection", **cell.cell))


def test_what_keeps_less_is_no_candidate_and_the_rest_is_ordered_as_before(cell):
    whole = select(cell)
    ranks = {each["kept_rank"] for each in whole["protocols"]["corrected"]["candidates"]}
    assert 0 in ranks and max(ranks) > 1
    for least in (1, max(ranks)):
        kept = select(cell, keep_at_least=least)
        for name, part in kept["protocols"].items():
            everything = whole["protocols"][name]["candidates"]
            assert part["candidates"] == [each for each in everything if each["kept_rank"] >= least]
            assert part["chosen"] is None or part["chosen"]["kept_rank"] >= least
            assert part["validation"]["base"] == whole["protocols"][name]["validation"]["base"]
        assert f"at least {least}" in kept["rule"] and kept["spec"]["keep_at_least"] == least
    published = kept["protocols"]["published"]
    best = {key: published["candidates"][0][key] for key in published["chosen"]}
    assert published["chosen"] == best


def test_a_rank_that_nothing_keeps_is_refused(cell):
    with pytest.raises((UserError, SystemExit)):
        select(cell, keep_at_least=10_000)


def test_resamples_choose_among_the_same_candidates(cell):
    paths = [cell.folders.path("sweep", **cell.cell, layer=layer, rho=rho) for layer in LAYERS for rho in RHOS]
    base = cell.folders.path("base", **cell.cell)
    groups = pd.Series({name: name for name in read_parquet(base)["id"].unique()})
    kept, whole = select(cell, keep_at_least=1), select(cell)
    assert candidates_of(whole) is None
    for selection in (kept, whole):
        scores = load_scores(base, paths, groups, cell.matrices, candidates_of(selection))
        for name, part in selection["protocols"].items():
            places = {(each["matrix"], each["layer"], each["rho"]) for each in part["candidates"]}
            assert set(scores[name].candidates) == places and scores[name].correct.shape[1] == len(places) + 1


@pytest.mark.parametrize(("least", "left"), [(None, [1, 0]), (1, [1]), (2, [])])
def test_the_audit_leaves_out_the_same(monkeypatch, least, left):
    class Study:
        protocols = ("corrected",)
        settings = {} if least is None else {"keep_at_least": least}

        def json(self, path):
            return {"matrices": {"u_in": {"shape": [400, 100]}}}

    averages = {("corrected", rho): audited.Average("u_in", 3, rho, 10, 50.0, 1.0) for rho in (0.01, 0.005)}
    monkeypatch.setattr(audited, "sweep_paths", lambda *cell: ["a file"])
    monkeypatch.setattr(audited, "averages", lambda study, path: averages)
    study = Study()
    given = audited.swept.__wrapped__(study, "m", "d")["corrected"]
    assert [audited.kept_of(average.rho, 100) for average in given] == left
