"""Ways to tamper with a study of a policy, after which every hash is made to fit, and the checks that find them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.audit.edits import Change, add, cell, content, flip, frame, number, put, text

CELL = "tiny-policy/sokoban"
TEST, BASE, SWEEP = f"test/{CELL}.parquet", f"sweep/{CELL}/base.parquet", f"sweep/{CELL}/layer1/rho0.1.parquet"
ROWS, CARD = "inputs/data/sokoban/rows.parquet", "inputs/data/sokoban/card.json"
REPORT = "report/rows/tiny-policy-sokoban-corrected.csv"
TABLE2, READ, STUDY = "tables/table2.csv", "tables/table2.md", "inputs/study.json"
FILM, SOLVED = f"figures/film/{CELL}-corrected.csv", f"figures/solved/{CELL}-corrected.csv"


def _first(rows: pd.DataFrame, **conditions: object) -> int:
    for name, value in conditions.items():
        rows = rows[rows[name] == value]
    return int(rows.index[0])


def _other_move(rows: pd.DataFrame) -> None:
    """Let a game that was solved end with another move."""
    place = _first(rows, correct=True)
    moves = rows.loc[place, "prediction"]
    rows.loc[place, "prediction"] = moves[:-1] + ("l" if moves[-1] not in "lL" else "r")


def _other_case(rows: pd.DataFrame) -> None:
    """Write a push as a move."""
    place = _first(rows, correct=True)
    rows.loc[place, "prediction"] = rows.loc[place, "prediction"].lower()


def _shorter(rows: pd.DataFrame) -> None:
    """Let a game end before its time, with return and steps to match."""
    place = _first(rows, correct=False)
    rows.loc[place, "prediction"] = rows.loc[place, "prediction"][:-1]
    rows.loc[place, "steps"] -= 1
    rows.loc[place, "return"] += 0.1


def _solved_by_the_expert(rows: pd.DataFrame) -> None:
    """Turn a lost game of LASER into a won one, without moves that win it."""
    place = _first(rows, arm="laser", correct=False)
    rows.loc[place, ["correct", "return", "steps"]] = [True, 10.0, 10]


def _another_wall(rows: pd.DataFrame) -> None:
    rows.loc[0, "text"] = rows.loc[0, "text"].replace(" ", "#", 1)
    rows.loc[0, "prompt"] = rows.loc[0, "text"]


def _mirrored(rows: pd.DataFrame) -> None:
    """Show a room mirrored: its name stays, its answer does not solve it."""
    rows.loc[0, "text"] = "\n".join(line[::-1] for line in rows.loc[0, "text"].split("\n"))


def _longer_answer(rows: pd.DataFrame) -> None:
    rows.loc[0, "answer"] += "u"


def _from_training(folder: Path) -> str:
    """Put a room that policies are trained on, which most are, in the place of another."""

    def change(rows: pd.DataFrame) -> None:
        lines = rows.loc[0, "text"].split("\n")
        for row, line in enumerate(lines):
            for column, sign in enumerate(line):
                made = [*lines[:row], line[:column] + "#" + line[column + 1 :], *lines[row + 1 :]]
                if sign == " " and not _kept("\n".join(made)):
                    rows.loc[0, ["text", "prompt"]] = "\n".join(made)
                    rows.loc[0, ["id", "group"]] = _name("\n".join(made))
                    return
        raise AssertionError("no wall makes it a room of the training side")

    return frame(ROWS, change)(folder)


def _name(text: str) -> str:
    from laser.sokoban.room import parse_room, room_hash

    return room_hash(parse_room(text))


def _kept(text: str) -> bool:
    from laser.sokoban.room import side_of

    return side_of(_name(text), 0.25) == "evaluation"


def _settings(change: Change, named: str) -> Change:
    """Return a change whose contradiction is found in another file."""

    def apply(folder: Path) -> str:
        change(folder)
        return named

    return apply


def _other_film(folder: Path) -> str:
    path = folder / "report/media/film-tiny-policy-sokoban-corrected.gif"
    path.write_bytes(path.read_bytes() + b"\0")
    return path.relative_to(folder).as_posix()


def _pool(held: dict) -> None:
    held["datasets"][0]["options"]["pool"]["evaluation_share"] = 0.5


def _limit(held: dict) -> None:
    held["models"][0]["play"]["step_limit"] = 13


def _dropped(held: dict) -> None:
    held["dropped_by_filter"]["training side"] = 1


def _share_of_training(held: dict) -> None:
    held["models"][0]["source"]["pool"]["evaluation_share"] = 0.01


POLICY: dict[str, tuple[Change, str]] = {
    "a move that won": (frame(TEST, _other_move), "games"),
    "a push written as a move": (frame(TEST, _other_case), "games"),
    "a game that ends early": (frame(TEST, _shorter), "games"),
    "a return": (frame(TEST, add("return", 0.1)), "games"),
    "a return by 1e-9": (frame(TEST, add("return", 1e-9, 7)), "games"),
    "a return of base on validation rooms": (frame(BASE, add("return", 1.0)), "games"),
    "a return in the sweep": (frame(SWEEP, add("return", -1.0, 3)), "games"),
    "a number of steps": (frame(TEST, add("steps", -1)), "games"),
    "a lost game called solved": (frame(TEST, flip("correct")), "games"),
    "a lost game called solved in the sweep": (frame(SWEEP, flip("correct")), "games"),
    "a lost game made to look won": (frame(TEST, _solved_by_the_expert), "games"),
    "the rank of an answer": (frame(TEST, put("answer_rank", 5)), "games"),
    "a room: one more wall": (frame(ROWS, _another_wall), "sides"),
    "a room: mirrored": (frame(ROWS, _mirrored), "games"),
    "a room of the training side": (_from_training, "sides"),
    "the expert's answer": (frame(ROWS, put("answer", "u")), "games"),
    "the expert's answer goes on": (frame(ROWS, _longer_answer), "games"),
    "the step limit": (_settings(content(STUDY, _limit), TEST), "games"),
    "the share of rooms kept from training": (_settings(content(STUDY, _pool), ROWS), "data"),
    "the share in the model's pool": (_settings(content(STUDY, _share_of_training), ROWS), "sides"),
    "rooms dropped from the dataset": (content(CARD, _dropped), "inputs"),
    "table2: a share of rooms": (cell(TABLE2, 0, "value", "12.5"), "table2"),
    "table2: a return": (cell(TABLE2, 3, "value", number), "table2"),
    "table2: an interval": (cell(TABLE2, 2, "high", number), "table2"),
    "table2: an interval of the difference": (cell(TABLE2, 5, "difference_low", number), "table2"),
    "table2: a p value": (cell(TABLE2, 5, "p_value", "0.04"), "table2"),
    "table2: an adjusted p value": (cell(TABLE2, 5, "p_holm", "0.04"), "table2"),
    "table2: a number of rooms": (cell(TABLE2, 0, "n", "41"), "table2"),
    "table2: the paper's number": (cell(TABLE2, 0, "published", "5.067"), "table2"),
    "table2: a verdict": (cell(TABLE2, 1, "verdict", "replicated"), "table2"),
    "table2: a number for reading": (text(READ, "| 40 |", "| 41 |"), "replay"),
    "table2: a number in bold": (text(READ, "| 40 |", "| **40** |"), "replay"),
    "table2: its size passed over": (text(READ, "of another size", "of their size"), "replay"),
    "table2: a number in LaTeX": (text("tables/table2.tex", "& 40 &", "& 41 &"), "replay"),
    "fig6: a step": (cell("figures/fig6/sokoban/room.csv", 0, "step", "3"), "replay"),
    "fig6: a box": (text("figures/fig6/sokoban/room.csv", ",box,", ",floor,"), "replay"),
    "solved: a share": (cell(SOLVED, 0, "laser", number), "replay"),
    "solved: a bin": (cell(SOLVED, 2, "most", "9"), "replay"),
    "film: a return": (cell(FILM, 3, "return", number), "replay"),
    "film: a move": (cell(FILM, 3, "move", lambda old: "d" if old.lower() != "d" else "u"), "replay"),
    "film: solved": (cell(FILM, 11, "solved", lambda old: str(old != "True")), "replay"),
    "report: a move in its rows": (cell(REPORT, 0, "laser_prediction", lambda old: "x" + old[1:]), "replay"),
    "report: another film": (_other_film, "replay"),
    "selection: the loss of base": (
        content(
            f"selection/{CELL}.json",
            lambda held: held["protocols"]["corrected"]["validation"]["base"].update(loss=9.0),
        ),
        "selection",
    ),
}  # fmt: skip
"""Name to the change and the check that must find it; `replay` makes the artefact again, `inputs` the data."""
