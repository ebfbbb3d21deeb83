"""Figures from files that the evaluation scripts themselves wrote, for a tiny model."""

import subprocess
import sys

import pytest

from laser.io.files import read_parquet, read_spec, write_json, write_parquet
from tests.artefacts.making import data_of, frames, lay_out, make, spec_of
from tests.evaluation.tiny_cell import SCRIPTS, TinyCell

PLACE = {"matrix": "u_out", "layer": 1, "rho": 0.1, "kept_rank": 3}
PROTOCOLS = ["corrected", "published"]
CELL = "tiny-gptj/worldfacts"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with everything that the figures read, of one cell."""
    cell = TinyCell(tmp_path_factory.mktemp("cell"), "gptj")
    # Prepared rows carry their dataset's entry, which the evaluations do not need.
    frame = read_parquet(cell.data).astype({"frequency": "float64"})
    write_parquet(cell.data, frame, {"dataset": {"name": "worldfacts", "builder": "worldfacts", "limit": None}})
    lay_out(cell)
    name = cell.spec["model"]["name"]
    scores = {"accuracy": 10.0, "loss": 3.0, "n": 5}
    one = {"chosen": PLACE, "validation": {"base": scores, "chosen": scores}, "candidates": [PLACE | scores]}
    selection = cell.folder / f"selection/{CELL}.json"
    write_json(selection, {"model": name, "dataset": "worldfacts", "protocols": dict.fromkeys(PROTOCOLS, one)})
    rhos, grid = {"rhos": [0.9, 0.1]}, {"matrices": ["u_in", "u_out"]}
    cell.run("base", {}, f"sweep/{CELL}/base.parquet")
    kinds = {"kinds": ["svd", "pruning", "smallest"], "matrices": ["q", "u_out"], "rows": 4, "layer": 1}
    cell.run("landscape", rhos | kinds, f"landscape/{CELL}/layer1.parquet")
    search = cell.run("compose_layers", rhos | grid | {"layers": [0, 1]}, f"compose/{CELL}.json")
    cell.run("compose_test", {}, f"compose/{CELL}.parquet", composition=search)
    test = cell.run("test_intervention", {}, f"test/{CELL}.parquet", selection=selection)
    # A random model repairs nothing: say that it did, so that there is something to look into.
    tested, spec = read_parquet(test), read_spec(test)
    write_parquet(test, tested.assign(correct=tested["arm"] == "laser"), spec)
    given = {"test": test, "selection": selection}
    cell.run("evaluate_higher_order", {"percents": [50, 90, 100]}, f"higher_order/{CELL}.parquet", **given)
    return cell.folder


def made(folder, name, into, how=data_of, **settings):
    cells = [tuple(CELL.split("/"))]
    also = {"sweep": [], "landscape": cells} if name == "fig2" else {}
    common = {"protocols": PROTOCOLS, "resamples": 50, "landscape": (1,), "also": also}
    return how(folder, spec_of(name, cells, **common, **settings), into)


@pytest.mark.parametrize("name", ["fig2", "fig10", "smallest", "fig3b", "fig3c", "fig4", "fig5b"])
def test_a_picture_for_each_protocol(files, tmp_path, name):
    if name == "fig5b":  # which no other test writes for real
        drawn = frames(made(files, name, tmp_path, make))
    else:
        drawn = made(files, name, tmp_path, **({"counts": {}} if name.startswith("fig3") else {}))
    assert len(drawn) == len(PROTOCOLS)
    if not name.startswith("fig3"):
        assert [set(frame["protocol"]) for frame in drawn] == [{one} for one in PROTOCOLS]
    if name in ("fig2", "fig10", "smallest"):
        assert (drawn[0]["n"] == 4).all() and set(drawn[0]["matrix"]) == {"q", "u_out"}
    if name == "fig5b":
        assert list(drawn[0]["percent"]) == [50, 90, 100] and drawn[0]["n"].iloc[0] > 0


def test_examples_of_the_smallest_components(files, tmp_path):
    (frame,) = made(files, "fig5c", tmp_path)
    # LASER removes 90 % of the components here, which was evaluated.
    assert set(frame["percent"]) == {90} and set(frame["protocol"]) == set(PROTOCOLS)


def test_no_artefact_imports_a_model_library_and_parsing_their_declarations_nothing_that_draws():
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from laser.config.artefacts import declared\n"
        "names = list(declared())\n"
        "heavy = {'torch', 'transformers', 'safetensors', 'matplotlib', 'scipy', 'jinja2'}\n"
        "print(len(names), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, found = done.stdout.strip().split(" ", 1)
    assert int(count) >= 30 and found == "[]"
