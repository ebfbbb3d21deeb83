"""A tiny policy through Snakemake: from a seed for rooms to the film in the report."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laser.io.files import read_json, read_parquet
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.room import parse_room, room_hash
from laser.sokoban.rules import action_numbers
from laser_audit.pages import terminal
from laser_audit.run import audit
from tests.audit.conftest import finished_policy as finished_policy  # the fixture
from tests.sokoban.small_study import ARTEFACTS, write
from tests.workflow.one_process import build
from tests.workflow.runner import ROOT, planned

CELL = "tiny-policy/sokoban"


@pytest.fixture(scope="module")
def finished(finished_policy):
    """A folder with a finished study: (folder, study file, results folder)."""
    folder = finished_policy.parents[1]
    return folder, folder / "tiny-sokoban.yaml", finished_policy


@pytest.fixture(scope="module")
def tested(finished):
    return read_parquet(finished[2] / f"test/{CELL}.parquet")


@pytest.fixture(scope="module")
def rows(finished):
    (path,) = finished[0].glob("cache/data/*/rows.parquet")
    return read_parquet(path).set_index("id")


def test_makes_every_artefact_and_the_page_shows_them(finished):
    _, _, results = finished
    for name in (one for one in ARTEFACTS if one.startswith("table")):
        assert {path.suffix for path in (results / "tables").glob(f"{name}.*")} == {".csv", ".md", ".tex"}
    for name in ("fig6/sokoban/room", f"solved/{CELL}-corrected"):
        assert all((results / f"figures/{name}.{ending}").is_file() for ending in ("svg", "pdf", "csv"))
    page = (results / "report/index.html").read_text()
    assert "Under the corrected protocol" in page and "A room played by base and LASER" in page
    film = results / "report/media/film-tiny-policy-sokoban-corrected.gif"
    assert film.read_bytes()[:6] == b"GIF89a" and film.name in page and "Base (left) and LASER (right)" in page


def test_no_room_is_on_two_sides(finished, rows):
    (path,) = finished[0].glob("cache/rooms/*/episodes.parquet")
    episodes = read_parquet(path)
    trained = set(episodes.loc[episodes["side"] == "training", "hash"])
    assert trained and not trained & set(rows.index)
    assert all(room_hash(parse_room(text)) == name for name, text in rows["text"].items())
    sides = rows["split_corrected"]
    chosen_on = read_parquet(finished[2] / f"sweep/{CELL}/base.parquet")["id"]
    assert set(chosen_on) == set(sides.index[sides == "validation"])


def test_every_result_follows_from_its_room_and_its_moves(tested, rows):
    assert set(tested["id"]) == set(rows.index[rows["split_corrected"] == "test"])
    for one in tested.to_dict("records"):
        played = BatchedRooms([parse_room(rows.loc[one["id"], "text"])], step_limit=12)
        for action in action_numbers(one["prediction"]):
            assert not played.done[0]
            played.step(np.array([action]))
        assert played.done[0] and bool(played.solved[0]) == one["correct"]
        assert float(played.returns[0]) == one["return"] and int(played.steps[0]) == one["steps"]
        assert one["answer_tokens"] == len(rows.loc[one["id"], "answer"])
        assert one["loss"] == pytest.approx(-one["logprob"] / one["answer_tokens"])


def test_table_2_is_what_the_rows_say_beside_the_papers_numbers(finished, tested):
    table = pd.read_csv(finished[2] / "tables/table2.csv").set_index(["metric", "arm"])
    means = tested.groupby("arm")[["correct", "return", "loss"]].mean()
    for arm in ("base", "laser"):
        assert table.loc[("accuracy", arm), "value"] == pytest.approx(100 * means.loc[arm, "correct"])
        assert table.loc[("return", arm), "value"] == pytest.approx(means.loc[arm, "return"])
        assert table.loc[("loss", arm), "value"] == pytest.approx(means.loc[arm, "loss"])
        assert (table["n"] == len(tested) / 2).all()
    published = table["published"]
    assert published["accuracy", "base"] == 50.67 and published["return", "laser"] == 0.965
    assert set(table["verdict"].dropna()) <= {"not run"}


def test_the_film_plays_the_recorded_moves(finished, tested):
    moves = pd.read_csv(finished[2] / f"figures/film/{CELL}-corrected.csv")
    room = moves["room"].iloc[0]
    for arm, own in moves.groupby("arm"):
        recorded = tested[(tested["id"] == room) & (tested["arm"] == arm)].iloc[0]
        assert "".join(own["move"]) == recorded["prediction"]
        assert own["return"].iloc[-1] == pytest.approx(recorded["return"])


def test_a_finished_study_plans_nothing_and_a_changed_limit_only_what_is_played(finished, tmp_path):
    folder, _, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    assert planned(copy, copy / "tiny-sokoban.yaml", "all") == {}
    text = (copy / "tiny-sokoban.yaml").read_text().replace("step_limit: 12", "step_limit: 13")
    (copy / "tiny-sokoban.yaml").write_text(text)
    counts = planned(copy, copy / "tiny-sokoban.yaml", "all")
    assert {"base", "sweep", "test_intervention"} <= set(counts)
    assert not {"rooms", "episodes", "train_policy", "prepare", "reduce"} & set(counts)


def test_a_race_of_policies_chooses_what_the_whole_search_chooses_and_passes_its_audit(finished, tmp_path):
    folder, _, results = finished
    shutil.copytree(folder / "cache", tmp_path / "cache", symlinks=True)
    whole = read_json(results / f"selection/{CELL}.json")["protocols"]["corrected"]
    chosen = whole["chosen"] or whole["candidates"][0]
    # A race in small blocks takes long: the matrix that was chosen, and another.
    grid = {"matrices": sorted({chosen["matrix"], "q", "o"})[-2:], "layers": [chosen["layer"]], "rhos": [chosen["rho"]]}
    assert chosen["matrix"] in grid["matrices"]
    raced = build(tmp_path, write(tmp_path, search="racing", artefacts=["table2"], grid=grid))
    (path,) = results.glob(f"sweep/{CELL}/layer{chosen['layer']}/rho{chosen['rho']}.parquet")
    scored, swept = read_parquet(raced / f"race/{CELL}.parquet"), read_parquet(path)
    assert list(scored.columns) == list(swept.columns) and (scored.dtypes == swept.dtypes).all()
    assert read_json(raced / f"selection/{CELL}.json")["protocols"]["corrected"]["chosen"] == whole["chosen"]
    report = audit(raced, ROOT)
    assert report.passed, terminal(report)


def test_the_paper_is_planned(tmp_path):
    counts = planned(tmp_path, Path("sokoban-paper"), "all")
    assert counts["rooms"] == 500 and counts["train_policy"] == 1 and counts["sweep"] == 6
    assert sum(counts.values()) < 5000
