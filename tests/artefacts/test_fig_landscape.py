import matplotlib.pyplot as plt
import pandas as pd
import pytest

from laser.artefacts import fig2 as fig2_module
from laser.artefacts.fig2 import fig2, fig2_data
from laser.errors import UserError
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.results.averages import load_landscape
from tests.artefacts import synthetic
from tests.artefacts.drawing import clashes, watch
from tests.artefacts.making import data_of, frames, make, spec_of

RHOS = (0.9, 0.1, 0.0025)
KINDS = ("svd", "pruning", "smallest", "clustered")
MATRICES = ("q", "u_in", "u_out")
HELD = 5


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


CELL = ("gpt-j-6b", "worldfacts")


def landscape(study, cell=CELL, kinds=KINDS, held=HELD):
    """Write a landscape of two layers on the first rows of a cell, and return its files and the base file."""
    base = next(path for path in study.bases if f"{cell[0]}/{cell[1]}" in str(path))
    rows, spec = read_parquet(base), read_spec(base)
    paths = []
    for layer in (0, 1):
        parts = []
        for protocol in synthetic.PROTOCOLS:
            first = rows[rows["protocol"] == protocol].head(held).reset_index(drop=True)
            for number, kind in enumerate(kinds):
                for place, matrix in enumerate(MATRICES):
                    for rho in RHOS:
                        labels = {"kind": kind, "matrix": matrix, "layer": layer, "rho": rho}
                        moved = first["loss"] + number + place / 10 + rho * layer
                        parts.append(first.assign(loss=moved, **labels))
        paths.append(study.folder / f"landscape/{cell[0]}/{cell[1]}/layer{layer}.parquet")
        write_parquet(paths[-1], pd.concat(parts, ignore_index=True), spec | {"layer": layer})
    return paths, base


def test_base_is_averaged_over_the_landscapes_own_rows(study, tmp_path):
    paths, base = landscape(study)
    swept, unedited = load_landscape(paths, base)
    rows = read_parquet(base)
    for protocol in synthetic.PROTOCOLS:
        own = rows[rows["protocol"] == protocol].head(HELD)
        mean = unedited.loc[unedited["protocol"] == protocol].iloc[0]
        assert mean["n"] == HELD and mean["loss"] == pytest.approx(own["loss"].mean())
        assert mean["loss"] != pytest.approx(rows.loc[rows["protocol"] == protocol, "loss"].mean())
    assert len(swept) == 2 * len(synthetic.PROTOCOLS) * len(KINDS) * len(MATRICES) * len(RHOS)
    data = fig2_data(swept, unedited, "corrected", "pruning")
    # The pruned losses were made one nat worse than base, plus what stands for matrix, rho and layer.
    wanted = 1 + data["matrix"].map(dict(zip(MATRICES, (0, 0.1, 0.2), strict=True))) + data["rho"] * data["layer"]
    assert list(data["difference"]) == pytest.approx(list(wanted))


def test_rows_that_differ_between_interventions_are_refused(study, tmp_path):
    paths, base = landscape(study)
    frame, spec = read_parquet(paths[1]), read_spec(paths[1])
    write_parquet(paths[1], frame.drop(index=3), spec)
    with pytest.raises(UserError, match="other validation rows"):
        load_landscape(paths, base)
    write_parquet(paths[1], frame[frame["id"] != frame["id"][0]], spec)
    with pytest.raises(UserError, match=r"layer1\.parquet.*other validation rows"):
        load_landscape(paths, base)


def test_files_of_another_cell_or_twice_or_none_are_refused(study, tmp_path):
    paths, base = landscape(study)
    other = next(path for path in study.bases if "tiny-llama/worldfacts" in str(path))
    with pytest.raises(UserError, match=r"holds gpt-j-6b on worldfacts, but .* holds tiny-llama"):
        load_landscape(paths, other)
    with pytest.raises(UserError, match="is in two landscape files"):
        load_landscape([*paths, paths[0]], base)
    with pytest.raises(UserError, match="no landscape file was given"):
        load_landscape([], base)
    rows = read_parquet(base)
    short = tmp_path / "base.parquet"
    write_parquet(short, rows[rows["id"] != rows["id"][0]], read_spec(base))
    with pytest.raises(UserError, match="lacks 1 of the 5 rows"):
        load_landscape(paths, short)


def test_each_kind_has_its_own_picture(study, tmp_path, monkeypatch):
    swept, base = load_landscape(*landscape(study))
    seen = watch(monkeypatch, fig2_module)
    for kind, words in (("pruning", "magnitude pruning"), ("smallest", "only the smallest singular values")):
        data = fig2(swept, base, tmp_path / kind, "corrected", kind=kind)
        assert set(data["kind"]) == {kind} and words in seen["title"].replace("\n", " ")
        assert seen["clashes"] == []
    assert set(fig2(swept, base, tmp_path / "svd")["kind"]) == {"svd"}
    with pytest.raises(UserError, match=r"no rows of kind 'pruning'.*kinds: svd"):
        fig2(swept[swept["kind"] == "svd"], base, tmp_path / "x", "corrected", kind="pruning")


def test_figure_2_takes_a_cells_landscape_and_the_sweep_of_the_others(study, tmp_path):
    landscape(study)
    cells = [("tiny-llama", "fever"), ("gpt-j-6b", "worldfacts")]
    protocols = ["published", "corrected"]
    spec = spec_of(
        "fig2", cells, landscape=(0, 1), protocols=protocols, also={"sweep": cells[:1], "landscape": cells[1:]}
    )
    drawn = data_of(study.folder, spec, tmp_path)
    names = [tuple(frame[["model", "dataset", "protocol"]].iloc[0]) for frame in drawn]
    assert names == [(*cell, protocol) for cell in cells for protocol in protocols]
    assert set(drawn[0]["rho"]) == set(synthetic.RHOS) and set(drawn[2]["rho"]) == set(RHOS)
    assert set(drawn[3]["n"]) == {HELD}


@pytest.mark.parametrize("name, kind", [("fig10", "pruning"), ("smallest", "smallest"), ("fig2_clusters", "clustered")])
def test_figures_of_other_kinds_draw_from_files(study, tmp_path, name, kind):
    landscape(study)
    spec = spec_of(name, [CELL], landscape=(0, 1), protocols=["corrected"])
    # No other test writes the first two for real.
    drawn = data_of(study.folder, spec, tmp_path) if kind == "clustered" else frames(make(study.folder, spec, tmp_path))
    assert [set(frame["kind"]) for frame in drawn] == [{kind}]


def test_overlaps_would_be_noticed():
    made, axis = plt.subplots(figsize=(2, 1))
    axis.set_xticks([0, 0.1], ["a long label", "another long label"])
    axis.plot([0, 1], [0, 1], label="line")
    made.legend()
    made.suptitle("a title that is wider than the page it stands on")
    made.canvas.draw()
    found = clashes(made)
    plt.close(made)
    assert any("legend" in one for one in found)
    assert any("ticks" in one for one in found)
    assert any("title and the page" in one for one in found)
