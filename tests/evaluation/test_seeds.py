"""The randomised step under several seeds, on test rows."""

import json

import pytest

from laser.evaluation import cell as cells
from laser.evaluation.cell import answers_for, result_rows
from laser.evaluation.seeds import place_to_draw
from laser.io.files import read_parquet, read_spec
from laser.reduction.interventions import Intervention
from tests.evaluation.tiny_cell import FAMILIES, TinyCell, by_family

PUBLISHED = {"matrix": "u_in", "layer": 1, "rho": 0.3}
SELECTED = {"matrix": "u_out", "layer": 0, "rho": 0.5, "kept_rank": 16}
BEST = {"matrix": "o", "layer": 1, "rho": 0.25, "kept_rank": 8, "accuracy": 1.0, "loss": 1.0, "n": 1}
SELECTION = {
    "published": {"chosen": SELECTED, "candidates": [SELECTED]},
    "corrected": {"chosen": None, "candidates": [BEST]},
}


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, selected)


def selected(folder, family):
    cell = TinyCell(folder, family, "fever")
    (cell.folder / "selection.json").write_text(json.dumps({"protocols": SELECTION}))
    return cell


def run(cell, output="seeds.parquet", **spec):
    return cell.run("evaluate_seeds", {"seeds": [0, 3, 4]} | spec, output, selection=cell.folder / "selection.json")


@pytest.mark.parametrize(
    ("published", "protocol", "expected"),
    [
        (PUBLISHED, "corrected", (PUBLISHED, "published choice")),
        (None, "published", (SELECTED, "selected")),
        (None, "corrected", (BEST, "best candidate")),
    ],
)
def test_where_seeds_are_drawn(published, protocol, expected):
    assert place_to_draw(published, SELECTION[protocol]) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_every_seed_is_the_released_step_with_that_seed(cell_of, family):
    cell = cell_of(family)
    path = run(cell)
    frame, spec, data = read_parquet(path), read_spec(path), read_parquet(cell.data)
    niter = 20 if family == "roberta" else 2
    assert spec["niter"] == niter
    opened = cell.open("test")
    for protocol, place in (("published", SELECTED), ("corrected", BEST)):
        assert spec["intervention"][protocol] == {
            **{key: place[key] for key in ("matrix", "layer", "rho", "kept_rank")},
            **{"kind": "randomised", "niter": niter},
            "source": "selected" if protocol == "published" else "best candidate",
        }
        own = frame[frame["protocol"] == protocol]
        assert sorted(own["seed"].unique()) == [0, 3, 4]
        for seed, part in own.groupby("seed"):
            edit = Intervention(place["matrix"], place["layer"], place["rho"], "randomised", niter, int(seed))
            (answers,) = answers_for(opened, [(edit,)], lambda done: None)
            assert part["id"].tolist() == data.loc[data[f"split_{protocol}"] == "test", "id"].tolist()
            losses = result_rows(opened, answers, protocol)["loss"]
            assert abs(part["loss"].to_numpy() - losses.to_numpy()).max() < 1e-5
        if niter == 2:
            assert own.groupby("seed")["loss"].mean().nunique() == 3


def test_protocols_at_one_place_share_its_evaluation(cell_of, monkeypatch):
    cell, seen = cell_of("gptj"), []

    def spy(opened, edits, count):
        seen.append(list(edits))
        return answers_for(opened, edits, count)

    monkeypatch.setattr(cells, "answers_for", spy)
    path = run(cell, published_choice=PUBLISHED)
    assert [len(one) for one in seen] == [3]
    found = read_spec(path)["intervention"]
    assert found["published"] == found["corrected"]
    assert found["published"]["source"] == "published choice"


def test_same_bytes_twice(cell_of):
    cell = cell_of("llama")
    assert run(cell, "a.parquet").read_bytes() == run(cell, "b.parquet").read_bytes()
