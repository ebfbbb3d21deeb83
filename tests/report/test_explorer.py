"""The explorer's data: what the sweep's files say, in files that hold nothing that could run."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from laser.analysis.intervals import change_interval, share_interval
from laser.errors import UserError
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from laser.report import explorer
from laser.report.explorer import SweepFiles, write_explorer
from laser.results.averages import load_sweep
from tests.artefacts import synthetic
from tests.report import study

ATTACK = '</script><script>alert("x")</script><!-- é\ud800\u2028'
MODEL, DATASET = "gpt-j-6b", "worldfacts"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("explorer"))


def write(built, folder, **changes):
    sweeps = [SweepFiles(base, swept) for base, swept in zip(built.bases, built.sweeps.values(), strict=True)]
    given = {"sweeps": sweeps, "selections": built.selections, "rows": built.rows, "tests": built.tests} | changes
    write_explorer(folder, study.SETTINGS, **given)
    return folder / "explorer"


def only(built, cell=(MODEL, DATASET)):
    """Return the sweep of one model and dataset alone."""
    return [SweepFiles(built.bases[list(built.sweeps).index(cell)], built.sweeps[cell])]


@pytest.fixture(scope="module")
def folder(built, tmp_path_factory):
    return write(built, tmp_path_factory.mktemp("report"))


def data(folder, name):
    text = (folder / f"{name}.html").read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(block)


def swept_rows(built, matrix, layer, rho, protocol="corrected"):
    """Return base and edited validation rows, joined by id."""
    cell = MODEL, DATASET
    (path,) = [one for one in built.sweeps[cell] if one.match(f"layer{layer}/rho{rho:g}.parquet")]
    base = read_parquet(built.bases[list(built.sweeps).index(cell)])
    edited = read_parquet(path)
    edited = edited[(edited["protocol"] == protocol) & (edited["matrix"] == matrix)]
    joined = base[base["protocol"] == protocol].merge(edited, on="id", suffixes=("_base", "_edited"), validate="1:1")
    groups = read_parquet(built.rows[synthetic.DATASETS.index(DATASET)]).set_index("id")["group"]
    return joined, groups.loc[joined["id"]].tolist()


@pytest.mark.parametrize("protocol", synthetic.PROTOCOLS)
def test_scores_are_those_of_the_sweep(built, folder, protocol):
    cell = MODEL, DATASET
    scores = data(folder, f"{MODEL}-{DATASET}-{protocol}")
    swept, base = load_sweep(built.sweeps[cell], built.bases[list(built.sweeps).index(cell)])
    swept, (base,) = swept[swept["protocol"] == protocol], base[base["protocol"] == protocol].to_dict("records")
    assert scores["n"] == base["n"] and len(scores["places"]) == len(swept)
    assert scores["base"]["accuracy"][0] == pytest.approx(base["accuracy"], abs=1e-4)
    assert scores["base"]["loss"] == pytest.approx(base["loss"], abs=1e-4)
    known = {tuple(place["at"]): place for place in scores["places"]}
    for row in swept.to_dict("records"):
        place = known[row["matrix"], row["layer"], f"{row['rho']:g}"]
        assert place["gain"][0] == pytest.approx(row["accuracy"] - base["accuracy"], abs=1e-4)
        assert place["loss"][0] == pytest.approx(row["loss"] - base["loss"], abs=1e-4)
        assert 100 * (place["right"] - place["spoilt"]) / scores["n"] == pytest.approx(place["gain"][0], abs=1e-4)


def test_intervals_are_those_of_the_tables(built, folder):
    scores = data(folder, f"{MODEL}-{DATASET}-corrected")
    place = next(one for one in scores["places"] if one["at"] == ["u_in", 5, "0.1"])
    rows, groups = swept_rows(built, "u_in", 5, 0.1)
    changes = rows["correct_edited"].astype(int) - rows["correct_base"].astype(int)
    assert place["gain"][1:] == pytest.approx([100 * one for one in change_interval(changes, groups)], abs=1e-4)
    assert scores["base"]["accuracy"][1:] == pytest.approx(
        [100 * one for one in share_interval(rows["correct_base"].astype(float), groups)], abs=1e-4
    )
    assert scores["groups"] == len(set(groups)) < scores["n"]
    value, low, high = place["loss"]
    assert low < value < high


def test_changed_rows_are_listed_with_both_outputs(built, folder):
    key = f"{MODEL}-{DATASET}-corrected"
    rows, layer = data(folder, f"{key}-rows"), data(folder, f"{key}-layer5")
    flips = layer["places"]["u_in/0.01"]
    joined, _ = swept_rows(built, "u_in", 5, 0.01)
    prepared = read_parquet(built.rows[1]).set_index("id")
    for kind, changed in (
        ("right", joined["correct_edited"] & ~joined["correct_base"]),
        ("spoilt", ~joined["correct_edited"] & joined["correct_base"]),
    ):
        pairs = np.array(flips[kind], dtype=int).reshape(-1, 2)
        wanted = joined[changed]
        assert [rows["id"][row] for row in pairs[:, 0]] == wanted["id"].tolist()
        assert [layer["outputs"][output] for output in pairs[:, 1]] == wanted["prediction_edited"].tolist()
        assert [rows["output"][row] for row in pairs[:, 0]] == wanted["prediction_base"].tolist()
        assert [rows["question"][row] for row in pairs[:, 0]] == prepared.loc[wanted["id"], "prompt"].tolist()
    assert flips["right"]


def test_choices_and_their_test_rows(built, folder):
    chosen = data(folder, f"{MODEL}-{DATASET}-corrected")
    assert chosen["chosen"] == ["u_in", 5, "0.01"] and chosen["tested"]
    assert next(one for one in chosen["places"] if one["at"] == chosen["chosen"])["kept"] == 40
    test = data(folder, f"{MODEL}-{DATASET}-corrected-test")
    frame = read_parquet(built.tests[1])
    frame = frame[frame["protocol"] == "corrected"].pivot(index="id", columns="arm", values="correct").astype(bool)
    assert test["n"] == len(frame)
    assert test["right"] == (frame["laser"] & ~frame["base"]).sum() == len(test["flips"]["places"]["test"]["right"]) / 2
    # The paper has a choice for GPT-J on FEVER, and none for a model that it does not have.
    assert data(folder, f"{MODEL}-fever-corrected")["paper"] is not None
    kept = data(folder, "tiny-llama-worldfacts-corrected")
    assert kept["chosen"] is None and kept["paper"] is None and not kept["tested"]
    assert not (folder / "tiny-llama-worldfacts-corrected-test.html").exists()


def test_policies_name_every_script_by_its_hash(folder):
    pages = [folder.parent / "explorer.html", *folder.iterdir()]
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        hashed = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
        allowed = re.search(r"script-src ([^;]*);", policy)[1]
        assert allowed.split() == [f"'sha256-{one}'" for one in hashed]
        assert policy.startswith("default-src 'none'; ") and "http" not in policy and "unsafe-eval" not in policy


def test_what_a_model_generated_cannot_end_a_block_of_data(tmp_path):
    built = synthetic.build(tmp_path / "study")
    for path in [built.bases[0], *built.sweeps[MODEL, "fever"]]:
        attack = ATTACK.replace("\ud800", "")
        write_parquet(path, read_parquet(path).assign(prediction=attack), read_spec(path))
    folder = write(built, tmp_path / "report", sweeps=only(built, (MODEL, "fever")))
    for page in folder.iterdir():
        assert len(re.findall(r"<script", page.read_text(encoding="utf-8"))) == 2
    assert data(folder, f"{MODEL}-fever-corrected-rows")["output"][0] == attack


def test_an_overflow_has_no_loss(tmp_path):
    built = synthetic.build(tmp_path / "study")
    path = built.sweeps[MODEL, "fever"][0]
    frame = read_parquet(path)
    frame.loc[(frame["matrix"] == "u_in") & (frame.index % 7 == 0), ["loss", "correct"]] = [np.nan, False]
    write_parquet(path, frame, read_spec(path))
    folder = write(built, tmp_path / "report", sweeps=only(built, (MODEL, "fever")))
    scores = data(folder, f"{MODEL}-fever-corrected")
    lost = [place["at"] for place in scores["places"] if place["loss"] == [None, None, None]]
    assert lost == [["u_in", 0, "0.9"]]
    assert all(None not in place["gain"] for place in scores["places"])


def test_no_more_rows_are_listed_than_stated(built, tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "LISTED", 1)
    folder = write(built, tmp_path, sweeps=only(built))
    key = f"{MODEL}-{DATASET}-published"
    listed = [flips for flips in data(folder, f"{key}-layer5")["places"].values()]
    assert {len(flips[kind]) for flips in listed for kind in ("right", "spoilt")} <= {0, 2}
    assert max(place["right"] for place in data(folder, key)["places"]) > 1
    assert '"listed":1' in (tmp_path / "explorer.html").read_text(encoding="utf-8")


def test_rows_of_another_order_are_put_in_order(built, folder, tmp_path):
    shuffled = synthetic.build(tmp_path / "study")
    for path in shuffled.sweeps[MODEL, DATASET]:
        write_parquet(path, read_parquet(path).iloc[::-1], read_spec(path))
    again = write(shuffled, tmp_path / "report", sweeps=only(shuffled))
    for name in (f"{MODEL}-{DATASET}-corrected", f"{MODEL}-{DATASET}-corrected-layer5"):
        assert data(again, name) == data(folder, name)


def test_files_that_do_not_belong_together_are_named(built, tmp_path):
    first = SweepFiles(built.bases[0], built.sweeps[MODEL, DATASET])
    with pytest.raises(UserError, match=r"rho0\.9\.parquet: holds gpt-j-6b on worldfacts, unlike .*base\.parquet"):
        write(built, tmp_path, sweeps=[first])
    other = tmp_path / "rho0.9.parquet"
    path = built.sweeps[MODEL, "fever"][0]
    write_parquet(other, read_parquet(path).iloc[1:], read_spec(path))
    with pytest.raises(UserError, match=r"rho0\.9\.parquet: protocol published was scored on other validation rows"):
        write(built, tmp_path, sweeps=[SweepFiles(built.bases[0], [other])])
    fever = only(built, (MODEL, "fever"))
    with pytest.raises(UserError, match="no selection file of gpt-j-6b on fever"):
        write(built, tmp_path, sweeps=fever, selections=built.selections[1:], tests=built.tests[1:])
    selection = read_json(built.selections[0])
    del selection["protocols"]["corrected"]
    write_json(tmp_path / "selection.json", selection)
    with pytest.raises(UserError, match="no selection file of gpt-j-6b on fever"):
        selections = [tmp_path / "selection.json", *built.selections[1:]]
        write(built, tmp_path, sweeps=fever, selections=selections, tests=[])


def test_a_study_without_a_sweep_has_no_explorer(tmp_path):
    (tmp_path / "explorer.html").write_text("of an earlier report")
    assert write_explorer(tmp_path, study.SETTINGS, [], [], []) == ""
    assert not (tmp_path / "explorer.html").exists()
