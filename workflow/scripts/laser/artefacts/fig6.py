"""Figure 6: a Sokoban room, drawn from its text, with the expert's path through it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.style import figure, save, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.observations import BOX, TARGET, WALL, cells_of
from laser.sokoban.room import Room, parse_room
from laser.sokoban.rules import action_numbers

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig6",
    kind="figure",
    title="Figure 6",
    about="a Sokoban room",
    reads=("rows",),
    cells=drawn_cells,
    pictures="{dataset}/room",
    texts=("dataset",),
    resampled=False,
    only_policies=True,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    fig6(picture.dataset, study.rows(picture.dataset, "id", "text", "answer"), stem)


NAMES = {0: "floor", WALL: "wall", TARGET: "target", BOX: "box", BOX | TARGET: "box on a target"}


def chosen_room(rows: pandas.DataFrame) -> pandas.Series:
    """Return the row to draw: the first room, in the dataset's order, among those with the most boxes.

    Args:
        rows: id, text and answer of every room.
    """
    boxes = rows["text"].map(lambda text: len(parse_room(text).boxes))
    return rows[boxes == boxes.max()].iloc[0]


def _path(room: Room, moves: str) -> list[int]:
    """Return the player's square before the first move and after each move."""
    played = BatchedRooms([room], step_limit=len(moves) + 1)
    cells = [room.player]
    for action in action_numbers(moves):
        played.step(played.player * 0 + action)
        cells.append(int(played.player[0]))
    return cells


def fig6(dataset: str, rows: pandas.DataFrame, stem: Path | str) -> pandas.DataFrame:
    """Draw the room; write <stem>.svg, .pdf and .csv.

    Args:
        dataset: name of the dataset.
        rows: id, text and answer of every room of the dataset.
        stem: output path without suffix.

    Returns:
        A row per square of the room: dataset, room (its id), row, column, what, player (bool) and step, the one, from
        0, at which the expert's player first reaches the square; empty if it never does.
    """
    import pandas as pd

    row = chosen_room(rows)
    room = parse_room(row["text"])
    bits, path = cells_of(room), _path(room, row["answer"])
    lines = [
        {
            "dataset": dataset,
            "room": row["id"],
            "row": cell // room.width,
            "column": cell % room.width,
            "what": NAMES[int(bits[cell]) & (WALL | TARGET | BOX)],
            "player": cell == room.player,
            "step": path.index(cell) if cell in path else None,
        }
        for cell in range(room.height * room.width)
    ]
    data = pd.DataFrame(lines).astype({"step": "Int64"})
    with figure(1, 1, 6) as (made, (axis,)):
        _draw(axis, data)
        points = [(cell % room.width, cell // room.width) for cell in path]
        axis.plot(
            *zip(*points, strict=True), color="0.35", linewidth=1.0, linestyle="--", label="expert's path", zorder=3
        )
        axis.set_xlim(-0.5, room.width - 0.5)
        axis.set_ylim(room.height - 0.5, -0.5)
        axis.set_aspect("equal")
        axis.set_axis_off()
        title(made, f"{dataset}: a room of {room.height} × {room.width} cells, solved in {len(row['answer'])} moves")
        handles, labels = axis.get_legend_handles_labels()
        made.legend(handles, labels, loc="outside right upper", markerscale=0.45, labelspacing=1.0)
        save(made, data, stem)
    return data


def _draw(axis: Any, data: pandas.DataFrame) -> None:
    """Draw the squares of the room; shapes and greys distinguish them as well as colours."""
    _squares(axis, data[data["what"] == "wall"])
    targets, boxes = (data[data["what"].isin([name, "box on a target"])] for name in ("target", "box"))
    ring: dict[str, Any] = {"marker": "o", "s": 220, "facecolor": "none", "edgecolor": "#CC79A7", "linewidth": 2.5}
    axis.scatter(targets["column"], targets["row"], label="target", zorder=5, **ring)
    square: dict[str, Any] = {"marker": "s", "s": 300, "facecolor": "#E69F00", "edgecolor": "0.15", "linewidth": 1.5}
    axis.scatter(boxes["column"], boxes["row"], label="box", zorder=6, **square)
    player = data[data["player"]]
    axis.scatter(player["column"], player["row"], marker="o", s=150, color="#005493", label="player", zorder=7)


def _squares(axis: Any, cells: pandas.DataFrame) -> None:
    from matplotlib.patches import Rectangle

    for number, (column, row) in enumerate(zip(cells["column"], cells["row"], strict=True)):
        label = "wall" if number == 0 else None
        shape = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor="0.3", edgecolor="0.45", linewidth=0.6, label=label
        )
        axis.add_patch(shape)
