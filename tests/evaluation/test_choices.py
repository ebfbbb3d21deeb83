"""Test rows at the paper's choice and at the cheap search's."""

import json

import pandas as pd
import pytest

from laser.evaluation import cell as cells
from laser.evaluation.cell import answers_for, intervention, result_rows
from laser.evaluation.choices import inspected_rows
from laser.evaluation.gradients import choose
from laser.io.files import read_json, read_parquet, read_spec
from tests.evaluation.tiny_cell import TinyCell, by_family

PUBLISHED = {"matrix": "u_in", "layer": 1, "rho": 0.3}
RHOS = [0.6, 0.1]
SEARCH = {"keep": 2, "layers": [0, 1], "rhos": RHOS}


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, swept)


def swept(folder, family):
    cell = TinyCell(folder, family, "fever")
    grid = {"matrices": ["u_in", "u_out"], "layers": [0, 1]}
    spec = {"grid": grid, "rhos": RHOS, "examples": 6}
    cell.ranking = cell.run("gradients", spec, "gradients.json")
    cell.swept = [path for layer in (0, 1) for path in cell.sweep(layer, RHOS, grid["matrices"])]
    cell.selection = cell.folder / "selection.json"
    cell.selection.write_text("{}")
    return cell


def run(cell, spec, output="choices.parquet", with_search=True):
    files = {"gradients": cell.ranking} if with_search else {}
    return cell.run("evaluate_choices", spec, output, selection=cell.selection, **files)


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_both_choices_on_test_rows(cell_of, family):
    cell = cell_of(family)
    path = run(cell, {"published_choice": PUBLISHED, "cheap_search": SEARCH})
    frame, data, spec = read_parquet(path), read_parquet(cell.data), read_spec(path)
    swept = pd.concat([read_parquet(one) for one in cell.swept], ignore_index=True)
    expected = choose(read_json(cell.ranking), swept, 2)
    for protocol in cell.spec["protocols"]:
        opened = cell.open("test")
        own = frame[frame["protocol"] == protocol]
        assert set(own["choice"]) == {"published", "gradient"}
        assert spec["choices"][protocol]["published"] == PUBLISHED | {"kept_rank": 9}
        assert spec["choices"][protocol]["gradient"] == expected[protocol]["chosen"]
        assert spec["search"][protocol]["evaluations"] == 4
        assert spec["search"][protocol]["exhaustive_evaluations"] == 8
        for name, place in spec["choices"][protocol].items():
            edit = ()
            if place is not None:
                edit = (intervention(opened, protocol, place["matrix"], place["layer"], place["rho"]),)
            (answers,) = answers_for(opened, [edit], lambda done: None)
            part = own[own["choice"] == name].reset_index(drop=True)
            assert part["id"].tolist() == data.loc[data[f"split_{protocol}"] == "test", "id"].tolist()
            losses = result_rows(opened, answers, protocol)["loss"]
            assert (part["loss"] - losses).abs().max() < 1e-5


def test_equal_edits_are_evaluated_once(cell_of, monkeypatch):
    cell = cell_of("gptj")
    chosen = read_spec(run(cell, {"cheap_search": SEARCH}))["choices"]
    protocol, place = next((name, one["gradient"]) for name, one in chosen.items() if one["gradient"] is not None)
    seen = []

    def spy(opened, edits, count):
        seen.append(list(edits))
        return answers_for(opened, edits, count)

    monkeypatch.setattr(cells, "answers_for", spy)
    spec = {"published_choice": {key: place[key] for key in ("matrix", "layer", "rho")}, "cheap_search": SEARCH}
    frame = read_parquet(run(cell, spec | {"protocols": [protocol]}))
    assert [len(one) for one in seen] == [1]
    assert set(frame["choice"]) == {"published", "gradient"}


@pytest.mark.parametrize("spec", [{}, {"cheap_search": None}])
def test_the_published_choice_alone(cell_of, spec):
    frame = read_parquet(run(cell_of("llama"), {"published_choice": PUBLISHED} | spec, with_search=False))
    assert set(frame["choice"]) == {"published"}
    assert len(frame) == 18 + 20


def test_no_choice_is_said(cell_of, capsys):
    with pytest.raises(SystemExit):
        run(cell_of("llama"), {"published_choice": None}, with_search=False)
    assert "there is no choice to evaluate" in capsys.readouterr().err


def test_base_is_a_choice(cell_of, tmp_path):
    """Where base wins on the cheap search's examples, its choice is the unmodified model."""
    cell = cell_of("llama")
    ranking = read_json(cell.ranking)
    for one in ranking["protocols"]["corrected"]["examples"]:
        one |= {"correct": True, "loss": 0.0}
    path = tmp_path / "ranking.json"
    path.write_text(json.dumps(ranking))
    spec = {"published_choice": None, "cheap_search": SEARCH}
    files = {"selection": cell.selection, "gradients": path}
    made = cell.run("evaluate_choices", spec, "base.parquet", **files)
    assert read_spec(made)["choices"]["corrected"] == {"gradient": None}
    frame = read_parquet(made)
    opened = cell.open("test")
    (answers,) = answers_for(opened, [()], lambda done: None)
    part = frame[frame["protocol"] == "corrected"].reset_index(drop=True)
    assert (part["loss"] - result_rows(opened, answers, "corrected")["loss"]).abs().max() < 1e-5


def test_only_the_rows_that_the_search_looks_at_are_held(cell_of):
    cell = cell_of("llama")
    ranking = read_json(cell.ranking)
    held = inspected_rows(cell.swept, ranking, 1)
    assert len(held) == 2 * 6 * len(RHOS)
    whole = pd.concat([read_parquet(one) for one in cell.swept], ignore_index=True)
    assert choose(ranking, held, 1) == choose(ranking, whole, 1)
