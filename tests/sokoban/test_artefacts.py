"""Table 2, rooms solved, Figure 6 and the film, from made-up results in real rooms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from laser.artefacts.fig6 import chosen_room, fig6
from laser.artefacts.film import chosen_row, film, film_data
from laser.artefacts.solved import solved_data
from laser.artefacts.table2 import table2
from laser.artefacts.table2 import views as table2_views
from laser.config.specs import FORMAT
from laser.io.files import write_json, write_parquet
from laser.paper.published import PAPER_POLICY, read_table2
from laser.results.cells import PairedCell
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.generate import generate_room
from laser.sokoban.room import parse_room, room_text
from laser.sokoban.rules import action_numbers
from laser.sokoban.solver import solve
from tests.artefacts.making import data_of, spec_of

LIMIT = 20


def played(text: str, moves: str) -> dict:
    rooms = BatchedRooms([parse_room(text)], step_limit=LIMIT)
    for action in action_numbers(moves):
        rooms.step(np.array([action]))
    done = {"correct": bool(rooms.solved[0]), "return": float(rooms.returns[0]), "steps": int(rooms.steps[0])}
    return done | {"prediction": moves[: int(rooms.steps[0])]}


@pytest.fixture(scope="module")
def made():
    """A cell in which base solves a third of the rooms and LASER two thirds; and the rooms' texts."""
    lines, texts = [], {}
    for index in range(90):
        room = generate_room(6, 6, 1 + index % 2, 11, index)
        found = solve(room, 5000)
        if found is None or not 0 < len(found.actions) <= LIMIT:
            continue
        name, text = f"room{index}", room_text(room)
        texts[name] = text
        line = {"id": name, "group": name, "answer": found.actions, "has_options": False, "answer_in_prompt": False}
        for arm, solves in (("base", index % 3 == 0), ("laser", index % 3 != 1)):
            moves = found.actions if solves else "ud" * (LIMIT // 2)
            line |= {f"{arm}_{key}": value for key, value in played(text, moves).items()}
            line |= {f"{arm}_loss": 1.0 + 0.1 * (index % 5) - 0.2 * (arm == "laser"), f"{arm}_answer_rank": 1}
        lines.append(line)
    chosen = {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 2}
    return PairedCell("policy", "sokoban", "corrected", pd.DataFrame(lines), chosen, "fp32"), texts


def test_table_2_has_three_metrics_with_tests_and_the_papers_numbers(made):
    cell, _ = made
    frame = table2([cell], read_table2(), resamples=300)
    rows = frame.set_index(["metric", "arm"])
    for metric, column in (("accuracy", "correct"), ("return", "return"), ("loss", "loss")):
        scale = 100 if metric == "accuracy" else 1
        for arm in ("base", "laser"):
            assert rows.loc[(metric, arm), "value"] == pytest.approx(scale * cell.rows[f"{arm}_{column}"].mean())
            assert rows.loc[(metric, arm), "low"] <= rows.loc[(metric, arm), "value"] <= rows.loc[(metric, arm), "high"]
        assert rows.loc[(metric, "laser"), "p_value"] <= rows.loc[(metric, "laser"), "p_holm"] < 0.05
    assert rows["published"].dropna().tolist() == [50.67, 53.0, 0.575, 0.965]
    assert set(rows["verdict"]) == {"not run", ""}
    (view,) = table2_views(frame)
    assert [line[2] for line in view.rows] == ["rooms solved, %", "return, points", "loss, nats per action"]
    assert view.bold == {(0, 4), (1, 4), (2, 4)} and any("another size" in note for note in view.notes)


def test_table_2_judges_the_papers_own_size_alone(made):
    cell, _ = made
    own = PairedCell(*PAPER_POLICY, "corrected", cell.rows, cell.chosen, "fp32")
    verdicts = table2([own], read_table2(), resamples=300).set_index(["metric", "arm"])["verdict"]
    assert verdicts["accuracy", "base"] in ("undecided", "differs") and verdicts["loss", "base"] == ""
    short = PairedCell(*PAPER_POLICY, "corrected", cell.rows, cell.chosen, "fp32", complete=False)
    assert set(table2([short], read_table2(), resamples=300)["verdict"]) == {"not run", ""}


def test_rooms_solved_by_boxes_and_path_length(made):
    cell, texts = made
    data = solved_data(cell, texts, 0, 200)
    for by in ("boxes", "path"):
        own = data[data["by"] == by]
        assert own["n"].sum() == len(cell.rows) and (own["least"].iloc[1:].values > own["most"].iloc[:-1].values).all()
        assert np.average(own["base"], weights=own["n"]) == pytest.approx(100 * cell.rows["base_correct"].mean())
    assert data.loc[data["by"] == "boxes", "label"].tolist() == ["1", "2"]


def test_figure_6_draws_the_first_room_with_most_boxes(made, tmp_path):
    cell, texts = made
    rows = pd.DataFrame({"id": list(texts), "text": list(texts.values()), "answer": cell.rows["answer"]})
    two = [name for name, text in texts.items() if text.count("$") + text.count("*") == 2]
    assert chosen_room(rows)["id"] == two[0]
    data = fig6("sokoban", rows, tmp_path / "room")
    room = parse_room(chosen_room(rows)["text"])
    counts = data["what"].value_counts()
    assert len(data) == 36 and counts["wall"] == len(room.walls) and data["player"].sum() == 1
    assert data.loc[data["player"], "step"].item() == 0
    assert data.loc[data["what"] == "wall", "step"].isna().all() and data["step"].dropna().is_unique
    assert (tmp_path / "room.svg").read_text().startswith("<?xml")


def test_the_film_shows_the_first_room_that_one_of_the_two_solves(made, tmp_path):
    cell, texts = made
    place = chosen_row(cell)
    assert (cell.rows["base_correct"] == cell.rows["laser_correct"]).iloc[:place].all()
    assert cell.rows["base_correct"].iloc[place] != cell.rows["laser_correct"].iloc[place]
    same = PairedCell("p", "d", "corrected", cell.rows[cell.rows["base_correct"]].reset_index(drop=True), None, "fp32")
    assert chosen_row(same) == 0
    data = film_data(cell, texts[cell.rows["id"].iloc[place]], place)
    for arm, own in data.groupby("arm"):
        assert "".join(own["move"]) == cell.rows[f"{arm}_prediction"].iloc[place]
        assert own["return"].iloc[-1] == pytest.approx(cell.rows[f"{arm}_return"].iloc[place])
        assert own["reward"].sum() == pytest.approx(own["return"].iloc[-1])
        assert own["solved"].iloc[-1] == cell.rows[f"{arm}_correct"].iloc[place]
    film(cell, texts, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.n_frames > 3 and picture.width > 2 * picture.height


def test_the_film_of_an_untouched_model_is_that_of_its_first_room(made):
    cell, _ = made
    base = {name: cell.rows[name.replace("laser_", "base_")] for name in cell.rows if name.startswith("laser_")}
    assert chosen_row(PairedCell("p", "d", "corrected", cell.rows.assign(**base), None, "fp32")) == 0


def test_all_are_made_from_a_studys_files(made, tmp_path):
    cell, texts = made
    names = {"model": {"name": "policy", "dtype": "fp32"}, "dataset": {"name": "sokoban"}, "protocols": ["corrected"]}
    names["format"] = FORMAT
    rows = cell.rows[["id", "group", "answer", "answer_in_prompt"]].assign(
        text=cell.rows["id"].map(texts), options=[[]] * len(cell.rows), split_published="test", split_corrected="test"
    )
    write_parquet(tmp_path / "cache/data/sokoban-0/rows.parquet", rows, {"dataset": {"name": "sokoban"}})
    arms = [
        cell.rows.filter(regex=f"^id$|^{arm}_")
        .rename(columns={name: name.removeprefix(f"{arm}_") for name in cell.rows.columns if name != "id"})
        .assign(arm=arm, protocol="corrected", in_top5=True, in_top10=True)
        for arm in ("base", "laser")
    ]
    chosen = {"corrected": cell.chosen}
    write_parquet(tmp_path / "test/policy/sokoban.parquet", pd.concat(arms), names | {"chosen": chosen})
    scores = {"accuracy": 50.0, "loss": 1.0, "n": 3}
    selected = {"chosen": cell.chosen, "validation": {"base": scores, "chosen": scores}, "candidates": [cell.chosen]}
    selection = {"model": "policy", "dataset": "sokoban", "protocols": {"corrected": selected}}
    write_json(tmp_path / "selection/policy/sokoban.json", selection)

    def data(name):
        spec = spec_of(name, [("policy", "sokoban")], protocols=["corrected"])
        (frame,) = data_of(tmp_path, spec, tmp_path / "made")
        return frame

    wanted = table2([cell], read_table2(), resamples=100)
    assert list(data("table2")["value"]) == list(wanted["value"]) and len(wanted) == 6
    assert list(data("solved")["n"]) == list(solved_data(cell, texts, 0, 100)["n"])
    assert set(data("film")["arm"]) == {"base", "laser"} and (tmp_path / "made/figures/film/policy").is_dir()
    assert set(data("fig6")["dataset"]) == {"sokoban"}
