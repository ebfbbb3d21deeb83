import hashlib

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from laser.analysis import pictures
from laser.artefacts import fig2 as fig2_module
from laser.artefacts.fig2 import fig2, fig2_data
from laser.artefacts.fig10 import fig10
from laser.errors import UserError
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.results.landscape import load_landscape
from tests.artefacts import synthetic
from tests.artefacts.drawing import clashes, script, watch

RHOS = (0.9, 0.1, 0.0025)
KINDS = ("svd", "pruning", "smallest")
MATRICES = ("q", "u_in", "u_out")
HELD = 5


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


def landscape(study, folder, cell=("gpt-j-6b", "worldfacts"), kinds=KINDS, held=HELD):
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
        paths.append(folder / f"layer{layer}.parquet")
        write_parquet(paths[-1], pd.concat(parts, ignore_index=True), spec | {"layer": layer})
    return paths, base


def test_base_is_averaged_over_the_landscapes_own_rows(study, tmp_path):
    paths, base = landscape(study, tmp_path)
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
    paths, base = landscape(study, tmp_path)
    frame, spec = read_parquet(paths[1]), read_spec(paths[1])
    write_parquet(paths[1], frame.drop(index=3), spec)
    with pytest.raises(UserError, match="different rows"):
        load_landscape(paths, base)
    write_parquet(paths[1], frame[frame["id"] != frame["id"][0]], spec)
    with pytest.raises(UserError, match=r"layer1\.parquet.*different rows"):
        load_landscape(paths, base)


def test_files_of_another_cell_or_twice_or_none_are_refused(study, tmp_path):
    paths, base = landscape(study, tmp_path)
    other = next(path for path in study.bases if "tiny-llama/worldfacts" in str(path))
    with pytest.raises(UserError, match=r"holds gpt-j-6b on worldfacts, but .* holds tiny-llama"):
        load_landscape(paths, other)
    with pytest.raises(UserError, match="stands in two landscape files"):
        load_landscape([*paths, paths[0]], base)
    with pytest.raises(UserError, match="no landscape file was given"):
        load_landscape([], base)
    rows = read_parquet(base)
    short = tmp_path / "base.parquet"
    write_parquet(short, rows[rows["id"] != rows["id"][0]], read_spec(base))
    with pytest.raises(UserError, match="lacks 1 of the landscape's 5 rows"):
        load_landscape(paths, short)


def test_each_kind_has_its_own_picture(study, tmp_path, monkeypatch):
    swept, base = load_landscape(*landscape(study, tmp_path))
    seen = watch(monkeypatch, fig2_module)
    for kind, words in (("pruning", "magnitude pruning"), ("smallest", "only the smallest singular values")):
        data = fig10(swept, base, tmp_path / kind, "corrected", kind)
        assert set(data["kind"]) == {kind} and words in seen["title"].replace("\n", " ")
        assert seen["clashes"] == []
    assert set(fig2(swept, base, tmp_path / "svd")["kind"]) == {"svd"}
    with pytest.raises(UserError, match=r"no rows of kind 'pruning'.*kinds: svd"):
        fig10(swept[swept["kind"] == "svd"], base, tmp_path / "x", "corrected")


def test_figure_2_takes_a_cells_landscape_and_the_sweep_of_the_others(study, tmp_path):
    paths, _ = landscape(study, tmp_path)
    cells = [("tiny-llama", "fever"), ("gpt-j-6b", "worldfacts")]
    sweeps = [path for cell in cells for path in study.sweeps[cell]]
    bases = [path for path in study.bases if any("/".join(cell) in str(path) for cell in cells)]
    spec = {"cells": cells, "protocols": ["published", "corrected"]}
    done, frames = script("make_fig2", spec, tmp_path, 4, base=bases, sweep=sweeps, landscape=paths)
    assert done.returncode == 0, done.stderr
    names = [tuple(frame[["model", "dataset", "protocol"]].iloc[0]) for frame in frames]
    assert names == [(*cell, protocol) for cell in cells for protocol in spec["protocols"]]
    assert set(frames[0]["rho"]) == set(synthetic.RHOS) and set(frames[2]["rho"]) == set(RHOS)
    assert set(frames[3]["n"]) == {HELD}
    # A landscape without rank reductions leaves Figure 2 to the sweep.
    paths, _ = landscape(study, tmp_path, kinds=("pruning",))
    done, frames = script("make_fig2", spec, tmp_path, 4, base=bases, sweep=sweeps, landscape=paths)
    assert done.returncode == 0 and set(frames[2]["rho"]) == set(synthetic.RHOS)


def test_figure_10_draws_from_files_and_equal_files_give_equal_bytes(study, tmp_path):
    paths, base = landscape(study, tmp_path)
    hashes = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        done, frames = script("make_fig10", {"protocols": ["corrected"]}, folder, 1, base=[base], landscape=paths)
        assert done.returncode == 0 and set(frames[0]["kind"]) == {"pruning"}
        hashes.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())])
    assert hashes[0] == hashes[1]


def test_pictures_come_in_the_order_of_the_spec():
    found = [("a", "x"), ("b", "x"), ("b", "y")]
    spec = {"cells": [["b", "y"], ["a", "x"]], "protocols": ["p", "q"]}
    paths = [pictures.Path(f"{number}.svg") for number in range(4)]
    order = [(cell, protocol, str(stem)) for cell, protocol, stem in pictures.by_cell(spec, found, paths)]
    assert order[:3] == [(("b", "y"), "p", "0"), (("b", "y"), "q", "1"), (("a", "x"), "p", "2")]
    assert [one[:2] for one in pictures.by_model(spec, found, paths)] == [
        ("b", "p"),
        ("b", "q"),
        ("a", "p"),
        ("a", "q"),
    ]
    assert next(one[:2] for one in pictures.by_dataset(spec, found, paths)) == ("y", "p")
    assert [one[0] for one in pictures.models(spec, ["a", "b"], paths[:2])] == ["b", "a"]
    assert pictures.wanted_cells({}, found) == found


def test_pictures_that_do_not_match_the_files_are_refused():
    found = [("a", "x")]
    with pytest.raises(UserError, match=r"b on x, for which no file was given\. Given: a on x"):
        pictures.by_cell({"cells": [["b", "x"]], "protocols": ["p"]}, found, [])
    with pytest.raises(UserError, match="--svg names 1 files, but there are 2 pictures"):
        pictures.by_cell({"protocols": ["p", "q"]}, found, [pictures.Path("x.svg")])
    with pytest.raises(UserError, match="holds b, for which no file"):
        pictures.models({"cells": [["b", "x"]]}, ["a"], [])
    with pytest.raises(UserError, match="No selection of a on x, protocol p"):
        pictures.place_of([{"model": "a", "dataset": "x", "protocols": {}}], ("a", "x"), "p")


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
