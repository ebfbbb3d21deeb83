"""The figures' scripts on files that the evaluation scripts themselves wrote, for a tiny model."""

import subprocess
import sys

import pandas as pd
import pytest

from laser.io.files import read_parquet, read_spec, write_json, write_parquet
from tests.artefacts.drawing import SCRIPTS, script
from tests.evaluation.tiny_cell import TinyCell

PLACE = {"matrix": "u_out", "layer": 1, "rho": 0.1, "kept_rank": 3}
PROTOCOLS = ["corrected", "published"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Everything that the figures read, of one cell."""
    cell = TinyCell(tmp_path_factory.mktemp("cell"), "gptj")
    # Prepared rows carry their dataset's entry, which the evaluations do not need.
    frame = read_parquet(cell.data).astype({"frequency": "float64"})
    write_parquet(cell.data, frame, {"dataset": {"name": "worldfacts", "builder": "worldfacts", "limit": None}})
    name = cell.spec["model"]["name"]
    scores = {"accuracy": 10.0, "loss": 3.0, "n": 5}
    one = {"chosen": PLACE, "validation": {"base": scores, "chosen": scores}, "candidates": [PLACE | scores]}
    selection = cell.folder / "selection.json"
    write_json(selection, {"model": name, "dataset": "worldfacts", "protocols": dict.fromkeys(PROTOCOLS, one)})
    rhos, grid = {"rhos": [0.9, 0.1]}, {"matrices": ["u_in", "u_out"]}
    made = {"rows": cell.data, "selection": selection, "base": cell.run("evaluate_base", {}, "base.parquet")}
    kinds = {"kinds": ["svd", "pruning", "smallest"], "matrices": ["q", "u_out"], "rows": 4, "layer": 1}
    made["landscape"] = cell.run("sweep_landscape", rhos | kinds, "layer1.parquet")
    made["search"] = cell.run("compose_layers", rhos | grid | {"layers": [0, 1]}, "compose.json")
    made["composed"] = cell.run("test_composition", {}, "compose.parquet", compose=made["search"])
    made["test"] = cell.run("evaluate_test", {}, "test.parquet", selection=selection)
    # A random model repairs nothing: say that it did, so that there is something to look into.
    tested, spec = read_parquet(made["test"]), read_spec(made["test"])
    write_parquet(made["test"], tested.assign(correct=tested["arm"] == "laser"), spec)
    given = {"test": made["test"], "selection": selection}
    made["higher_order"] = cell.run("evaluate_higher_order", {"percents": [50, 90, 100]}, "ho.parquet", **given)
    return made


@pytest.mark.parametrize(
    "name, inputs, changes",
    [
        ("make_fig2", ("base", "landscape"), {}),
        ("make_fig10", ("base", "landscape"), {}),
        ("make_fig10", ("base", "landscape"), {"kind": "smallest"}),
        ("make_fig3b", ("test", "selection", "rows"), {}),
        ("make_fig3c", ("test", "selection", "rows"), {}),
        ("make_fig4", ("search", "composed", "rows"), {}),
        ("make_fig5b", ("higher_order", "rows"), {}),
    ],
)
def test_a_picture_for_each_protocol(files, tmp_path, name, inputs, changes):
    spec = {"protocols": PROTOCOLS, "seed": 0, "resamples": 50} | changes
    done, frames = script(name, spec, tmp_path, 2, **{option: [files[option]] for option in inputs})
    assert done.returncode == 0, done.stderr
    if not name.startswith("make_fig3"):
        assert [set(frame["protocol"]) for frame in frames] == [{one} for one in PROTOCOLS]
    if name in ("make_fig2", "make_fig10"):
        assert (frames[0]["n"] == 4).all() and set(frames[0]["matrix"]) == {"q", "u_out"}
    if name == "make_fig5b":
        assert list(frames[0]["percent"]) == [50, 90, 100] and frames[0]["n"].iloc[0] > 0


def test_examples_of_the_smallest_components(files, tmp_path):
    outputs = [tmp_path / f"fig5c.{ending}" for ending in ("csv", "md", "tex")]
    given = {option: [files[option]] for option in ("test", "selection", "rows", "higher_order")}
    done, _ = script("make_fig5c", {"protocols": PROTOCOLS}, tmp_path, 0, **given, output=outputs)
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(outputs[0])
    # LASER removes 90 % of the components here, which was evaluated.
    assert set(frame["percent"]) == {90} and set(frame["protocol"]) == set(PROTOCOLS)


def test_no_script_of_a_figure_imports_a_model_library():
    names = [path.stem for path in sorted(SCRIPTS.glob("make_fig*.py"))] + ["make_noise"]
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n" + "\n".join(f"import {name}" for name in names)
    code += "\nprint(sorted({'torch', 'transformers', 'safetensors'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(names) >= 11 and done.stdout.strip() == "[]"
