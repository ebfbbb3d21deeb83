import math

import pandas as pd
import pytest

from laser.analysis import style
from laser.artefacts import fig7 as fig7_module
from laser.artefacts import fig8 as fig8_module
from laser.artefacts import fig9 as fig9_module
from laser.artefacts.fig7 import fig7
from laser.artefacts.fig8 import fig8
from laser.artefacts.fig9 import fig9, fig9_data
from laser.errors import UserError
from laser.results.averages import load_sweep
from tests.artefacts import synthetic
from tests.artefacts.drawing import watch
from tests.artefacts.making import data_of, make, spec_of

CELLS = [("tiny-llama", "worldfacts"), ("gpt-j-6b", "fever")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


def swept(dataset, accuracies, losses=None):
    """A sweep of two layers with two candidates each, and its base."""
    places = [(0, "u_in", 0.9), (0, "u_out", 0.1), (3, "u_in", 0.9), (3, "u_out", 0.1)]
    rows = [
        {"model": "m", "dataset": dataset, "protocol": "corrected", "layer": layer, "matrix": matrix, "rho": rho}
        | {"n": 7, "accuracy": float(accuracy), "loss": loss}
        for (layer, matrix, rho), accuracy, loss in zip(places, accuracies, losses or [1.0] * 4, strict=True)
    ]
    return pd.DataFrame(rows), pd.DataFrame([{"protocol": "corrected", "accuracy": 40.0, "loss": 2.0}])


def test_figure_9_takes_the_best_candidate_of_each_layer():
    data = fig9_data([swept("a", [50, 45, 30, 35]), swept("b", [1, 2, 3, 4])], {("m", "a"): {"layer": 0}}, "corrected")
    assert list(data["dataset"]) == ["a", "a", "b", "b"] and list(data["layer"]) == [0, 3, 0, 3]
    assert list(data["benefit"]) == [10, -5, -38, -36] and list(data["matrix"]) == ["u_in", "u_out", "u_out", "u_out"]
    assert list(data["chosen"]) == [True, False, False, False]


def test_figure_9_breaks_ties_as_selection_does():
    cell = swept("a", [50, 50, 50, 50], [1.0, 0.5, math.inf, 3.0])
    data = fig9_data([cell], {("m", "a"): None}, "corrected")
    assert list(data["matrix"]) == ["u_out", "u_out"] and list(data["loss"]) == [0.5, 3.0]
    assert not data["chosen"].any()
    with pytest.raises(UserError, match=r"'published'\. It holds: corrected"):
        fig9_data([cell], {}, "published")


def test_figure_9_rings_what_was_chosen_and_nothing_overlaps(monkeypatch, tmp_path):
    seen = watch(monkeypatch, fig9_module)
    many = [swept(f"dataset_{number}", [41 + number, 2, 50, 3]) for number in range(8)]
    fig9(many, {("m", "dataset_2"): {"layer": 3}}, "corrected", tmp_path / "x")
    assert seen["clashes"] == [] and len(seen["labels"]) == 10 and "chosen" in seen["labels"]
    looks = {(line.get_marker(), line.get_linestyle(), line.get_color()) for line in seen["lines"][0]}
    assert len(looks) == 9
    fig9(many, {}, "corrected", tmp_path / "x")
    assert "chosen" not in seen["labels"]


def test_figure_8_marks_the_chosen_reduction(monkeypatch, tmp_path, study):
    averages = load_sweep(study.sweeps["gpt-j-6b", "fever"], study.bases[0])
    seen = watch(monkeypatch, fig8_module)
    fig8(*averages, "corrected", "u_in", 5, tmp_path / "x", 0.1)
    assert "chosen" in seen["labels"] and "base was kept" not in seen["title"] and seen["clashes"] == []
    fig8(*averages, "corrected", "u_in", 5, tmp_path / "x")
    assert "chosen" not in seen["labels"] and "base was kept" in seen["title"].replace("\n", " ")


def test_figure_8_labels_as_many_reductions_as_there_is_room_for(monkeypatch, tmp_path):
    rhos = [round(1 - cut / 100, 9) for cut in (10, 25, 40, 50, 60, 75, 90, 92.5, 95, 97.5, 98, 98.5, 99, 99.5, 99.75)]
    names = [f"first_top{k}" for k in (1, 5, 10)]
    rows = [
        {"model": "m", "dataset": "d", "protocol": "corrected", "matrix": "u_in", "layer": 1, "rho": rho}
        for rho in rhos
    ]
    frame = pd.DataFrame(rows).assign(n=9, **dict.fromkeys(names, 50.0))
    base = pd.DataFrame([{"protocol": "corrected", **dict.fromkeys(names, 40.0)}])
    seen = watch(monkeypatch, fig8_module)
    data = fig8(frame, base, "corrected", "u_in", 1, tmp_path / "x")
    assert len(data) == len(rhos) and seen["clashes"] == []
    (axis,) = seen["axes_drawn"]
    assert sorted([*axis.get_xticks(), *axis.get_xticks(minor=True)]) == list(range(len(rhos)))
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "40", "60", "90", "95", "98", "99", "99.75"]


def test_figure_8_names_every_reduction_of_the_paper(monkeypatch, tmp_path, study):
    averages = load_sweep(study.sweeps["gpt-j-6b", "fever"], study.bases[0])
    seen = watch(monkeypatch, fig8_module)
    data = fig8(*averages, "corrected", "u_in", 5, tmp_path / "x", 0.1)
    (axis,) = seen["axes_drawn"]
    assert [label.get_text() for label in axis.get_xticklabels()] == style.percentages(list(data["removed_percent"]))
    assert {tuple(line.get_xdata()) for line in axis.get_lines() if line.get_marker() != "None"} == {(0, 1, 2)}


def test_figure_7_fits_its_page_for_every_matrix(monkeypatch, tmp_path):
    records = pd.DataFrame(
        [
            {"model": "lab-llama", "layer": layer, "matrix": matrix, "rho": rho, "effective_rank": 90.0 - layer}
            for matrix in style.MATRIX_LABELS
            for layer in range(32)
            for rho in (0.9, 0.1)
        ]
    )
    seen = watch(monkeypatch, fig7_module)
    data = fig7(records, tmp_path / "x")
    assert len(data) == 32 * len(style.MATRIX_LABELS) and seen["clashes"] == []
    assert seen["axes"][0][1:] == ("layer ℓ, counted from 0", "effective rank, components")


def test_pictures_are_drawn_in_the_specs_order(study, tmp_path):
    protocols = ["corrected", "published"]
    drawn = data_of(study.folder, spec_of("fig8", CELLS, protocols=protocols), tmp_path)
    names = [(*frame[["model", "dataset", "protocol"]].iloc[0],) for frame in drawn]
    assert names == [(*cell, protocol) for cell in CELLS for protocol in protocols]
    assert all((frame["layer"] == 5).all() and (frame["matrix"] == "u_in").all() for frame in drawn)
    drawn = data_of(study.folder, spec_of("fig9", CELLS, protocols=protocols), tmp_path)
    assert [frame["model"].iloc[0] for frame in drawn] == ["tiny-llama", "tiny-llama", "gpt-j-6b", "gpt-j-6b"]
    # The second model keeps base on its second dataset under the corrected protocol.
    assert not drawn[0]["chosen"].any() and drawn[1]["chosen"].any()
    drawn = data_of(study.folder, spec_of("fig7", CELLS), tmp_path)
    assert [set(frame["model"]) for frame in drawn] == [{"tiny-llama"}, {"gpt-j-6b"}]


def test_a_selection_without_the_protocol_is_told(study, tmp_path):
    with pytest.raises(UserError, match="No selection of tiny-llama on worldfacts, protocol other"):
        make(study.folder, spec_of("fig8", CELLS[:1], protocols=["other"]), tmp_path)
