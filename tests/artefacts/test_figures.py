import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest

from laser.analysis import style
from laser.artefacts import fig2 as fig2_module
from laser.artefacts.fig2 import fig2
from laser.artefacts.fig7 import fig7
from laser.artefacts.fig8 import fig8
from laser.errors import UserError
from laser.results import loading
from laser.results.averages import load_sweep
from tests.artefacts import synthetic
from tests.artefacts.drawing import watch


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


@pytest.fixture(scope="module")
def means(study):
    return load_sweep(study.sweeps["gpt-j-6b", "fever"], study.bases[0])


def grid(layers, rhos, matrices=("q", "u_in", "u_out")):
    rows = [
        {"model": "m", "dataset": "d", "protocol": "corrected", "matrix": matrix, "layer": layer, "rho": rho}
        | {"n": 10, "accuracy": 50.0, "loss": 3 + np.sin(layer) * (1 - rho)}
        for matrix in matrices
        for layer in layers
        for rho in rhos
    ]
    base = pd.DataFrame([{"protocol": "corrected", "loss": 3.0, "accuracy": 50.0}])
    return pd.DataFrame(rows), base


@pytest.fixture(scope="module")
def drawn(means, tmp_path_factory):
    """The data of Figure 2 and the stem of its files."""
    stem = tmp_path_factory.mktemp("drawn") / "fig2"
    return fig2(*means, stem, "corrected"), stem


def test_the_data_are_returned_and_written_whole(means, drawn):
    (swept, base), (data, stem) = means, drawn
    written = pd.read_csv(stem.with_suffix(".csv"), float_precision="round_trip")
    pd.testing.assert_frame_equal(written, data, check_dtype=False)
    own = swept[swept["protocol"] == "corrected"]
    assert len(data) == len(own)
    merged = data.merge(own, on=["matrix", "layer", "rho"], suffixes=("", "_swept"))
    assert (merged["loss"] == merged["loss_swept"]).all()
    assert set(data["removed_percent"]) == {10.0, 90.0, 99.0}
    assert (data["base_loss"] == base.loc[base["protocol"] == "corrected", "loss"].iloc[0]).all()


def test_equal_data_give_equal_bytes_without_dates_whatever_the_users_own_matplotlib_settings(means, drawn, tmp_path):
    _, stem = drawn
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "axes.facecolor": "red"}):
        fig2(*means, tmp_path / "fig2", "corrected")
    for ending in (".svg", ".pdf", ".csv"):
        assert (tmp_path / f"fig2{ending}").read_bytes() == stem.with_suffix(ending).read_bytes()
    assert b"CreationDate" not in stem.with_suffix(".pdf").read_bytes()
    svg = stem.with_suffix(".svg").read_text()
    assert "<dc:date>" not in svg and not re.search(r"20\d\d-\d\d-\d\d", svg)


@pytest.mark.parametrize(
    "layers, rhos",
    [
        ([0, 6, 12, 18, 24, 27, 28, 29], [0.9, 0.1]),
        ([0, 5, 30, 31], [0.9, 0.1]),
        ([3], [0.1]),
        (list(range(32)), np.linspace(0.01, 0.9, 15)),
    ],
)
def test_legend_covers_no_panel_and_every_searched_layer_has_a_tick_of_which_as_many_are_named_as_fit(
    monkeypatch, tmp_path, layers, rhos
):
    seen = watch(monkeypatch, fig2_module)
    band = [(layer, 2.5, 3.5) for layer in (layers[0], layers[-1])]
    fig2(*grid(layers, rhos), tmp_path / "x", published_range={"u_in": band})
    assert seen["clashes"] == []
    assert [title for title, *_ in seen["axes"]] == [style.MATRIX_LABELS[name] for name in ("q", "u_in", "u_out")]
    assert all("layer" in x and "nats" in y for _, x, y in seen["axes"])
    assert [len(lines) for lines in seen["lines"]] == [len(rhos) + 1] * 3
    assert len(seen["labels"]) == len(rhos) + 2 and {"base", "range in the paper"} <= set(seen["labels"])
    for axis in seen["axes_drawn"]:
        named = list(axis.get_xticks())
        assert sorted([*named, *axis.get_xticks(minor=True)]) == layers
        assert named == layers if len(layers) <= 10 else len(named) >= 8
        at = axis.transData.transform([(layer, 0) for layer in layers])[:, 0]
        assert np.allclose(np.diff(at), (at[-1] - at[0]) / max(1, len(at) - 1))


def changes(values):
    swept, base = grid(range(len(values)), [0.1])
    return swept.assign(loss=3.0 + np.tile(values, 3)), base


@pytest.mark.parametrize(
    "values, scale", [([10.0, 0.1, -0.1, 0.05], "symlog"), ([0.3, 0.1, -0.1, 0.2], "linear"), ([0.0, 0.0], "linear")]
)
def test_figure_2_is_the_change_from_base_and_one_large_value_does_not_press_the_others(
    monkeypatch, tmp_path, values, scale
):
    seen = watch(monkeypatch, fig2_module)
    fig2(*changes(values), tmp_path / "x")
    drawn = seen["axes_drawn"]
    assert {axis.get_yscale() for axis in drawn} == {scale} and len({axis.get_ylim() for axis in drawn}) == 1
    for axis in drawn:
        curve, base = axis.get_lines()
        assert np.allclose(curve.get_ydata(), values) and set(base.get_ydata()) == {0}
        low, high = axis.get_ylim()
        assert low <= min(values) and high >= max(values)
        at = axis.transData.transform([(0, value) for value in (*values, low, high)])[:, 1]
        spread = np.ptp(at[1 : len(values)]) / (at[-1] - at[-2])
        assert spread > 0.25 or not any(values)


def test_a_loss_without_bounds_leaves_the_scale_to_the_others(monkeypatch, tmp_path):
    seen = watch(monkeypatch, fig2_module, laid_out=False)
    fig2(*changes([np.inf, 0.2, np.nan, 0.1]), tmp_path / "x")
    assert all(axis.get_yscale() == "linear" and axis.get_ylim()[1] < 1 for axis in seen["axes_drawn"])


def test_the_papers_band_is_shown_minus_the_base(monkeypatch, tmp_path):
    seen = watch(monkeypatch, fig2_module, laid_out=False)
    fig2(*grid([0, 3], [0.1]), tmp_path / "x", published_range={"u_in": [(0, 2.5, 3.5), (3, 2.0, 4.0)]})
    (band,) = seen["axes_drawn"][1].collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == -1.0 and corners[:, 1].max() == 1.0


def test_lines_can_be_told_apart_in_grey():
    shades = style.shades(15)
    grey = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue, _ in shades]
    assert grey == sorted(grey, reverse=True)
    assert grey[0] - grey[-1] > 0.5
    assert grey[0] < 0.85
    assert len(set(style.MARKERS)) == len(style.MARKERS) >= 9


def test_an_unknown_protocol_is_named(means, tmp_path):
    with pytest.raises(UserError, match=r"'other'\. It holds: corrected, published"):
        fig2(*means, tmp_path / "x", "other")


def test_figure_7_draws_each_layer_and_matrix_once(study, tmp_path):
    records = loading.load_reductions(study.records)
    data = fig7(records[records["model"] == "gpt-j-6b"], tmp_path / "fig7")
    assert len(data) == len(synthetic.LAYERS) * len(synthetic.MATRICES)
    assert list(pd.read_csv(tmp_path / "fig7.csv")["effective_rank"]) == list(data["effective_rank"])
    ET.parse(tmp_path / "fig7.svg")
    with pytest.raises(UserError, match="one model"):
        fig7(records, tmp_path / "x")


def test_figure_8_shows_the_chosen_matrix_alone(means, tmp_path):
    swept, base = means
    data = fig8(swept, base, "corrected", "u_in", 5, tmp_path / "fig8")
    assert list(data["rho"]) == sorted(synthetic.RHOS, reverse=True)
    assert (data["first_top1"] <= data["first_top5"]).all() and (data["first_top5"] <= data["first_top10"]).all()
    assert (tmp_path / "fig8.pdf").stat().st_size > 1000
    with pytest.raises(UserError, match="layer 4"):
        fig8(swept, base, "corrected", "u_in", 4, tmp_path / "x")
