"""A film of base and LASER side by side in one test room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from laser.analysis.tables import to_csv
from laser.config.artefacts import Artefact, drawn_cells
from laser.io.files import write_text
from laser.results.cells import ARMS, PairedCell
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.render import picture, write_film
from laser.sokoban.room import parse_room
from laser.sokoban.rules import STEP_LIMIT, action_numbers

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="film",
    kind="film",
    title="A room played by base and LASER",
    about="a film of base and LASER in one test room",
    reads=("test", "selection", "rows"),
    cells=drawn_cells,
    texts=("model", "dataset", "protocol", "arm"),
    resampled=False,
    only_policies=True,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = study.compared_of(picture.model, picture.dataset, picture.protocol)
    film(cell, study.texts(picture.dataset), stem.with_name(f"{stem.name}.gif"))


TILE, GAP, FRAME = 24, 12, 4
HELD = 6
"""Number of frames for which the end is held."""
MILLISECONDS = 220
LONGEST = 40
"""Largest number of steps shown: after that, a policy usually walks to and fro."""

_SOLVED, _LOST, _PLAYING = (0, 158, 115), (150, 150, 150), (255, 255, 255)


def chosen_row(cell: PairedCell) -> int:
    """Return the position in `cell.rows` of the filmed room.

    It is the first that exactly one of the two solves, whichever that is; without one, the first in which their moves
    differ; without such a one, the first.
    """
    apart = cell.rows["base_correct"] != cell.rows["laser_correct"]
    differ = cell.rows["base_prediction"] != cell.rows["laser_prediction"]
    for differing in (apart.to_numpy(), differ.to_numpy()):
        if differing.any():
            return int(np.argmax(differing))
    return 0


def film_data(cell: PairedCell, text: str, position: int) -> pandas.DataFrame:
    """Return a row per arm and step: model, dataset, protocol, room, arm, step (from 1), move, reward, return, solved.

    The rows are replayed from the room and the recorded moves.
    """
    import pandas as pd

    row = cell.rows.iloc[position]
    lines: list[dict[str, Any]] = []
    for arm in ARMS:
        rooms = BatchedRooms([parse_room(text)], step_limit=max(STEP_LIMIT, len(row[f"{arm}_prediction"])))
        for step, move in enumerate(row[f"{arm}_prediction"], 1):
            reward = float(rooms.step(np.array(action_numbers(move)))[0])
            names = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "room": row["id"]}
            made = {"arm": arm, "step": step, "move": move, "reward": reward, "return": float(rooms.returns[0])}
            lines.append(names | made | {"solved": bool(rooms.solved[0])})
    return pd.DataFrame(lines)


def film(cell: PairedCell, texts: Mapping[str, str], path: Path | str) -> pandas.DataFrame:
    """Write the film, and the CSV beside it.

    Base plays on the left, LASER on the right. An arm's frame turns green when its room is solved; if it is not, the
    frame turns grey at the last step, or the last step shown.

    Args:
        cell: base and LASER on test rooms.
        texts: maps the id of a room to its text.
        path: output path with the suffix .gif.
    """
    position = chosen_row(cell)
    row = cell.rows.iloc[position]
    text = texts[row["id"]]
    data = film_data(cell, text, position)
    arms = [_frames(text, row[f"{arm}_prediction"]) for arm in ARMS]
    length = min(LONGEST, max(map(len, arms))) + HELD
    gap = np.full((arms[0][0].shape[0], GAP, 3), 255, dtype=np.uint8)
    pictures = [
        np.concatenate([arms[0][min(step, len(arms[0]) - 1)], gap, arms[1][min(step, len(arms[1]) - 1)]], axis=1)
        for step in range(length)
    ]
    write_film(pictures, path, MILLISECONDS)
    write_text(Path(path).with_suffix(".csv"), to_csv(data))
    return data


def _frames(text: str, moves: str) -> list[np.ndarray]:
    """Return framed images of the room before the first move and after each move."""
    rooms = BatchedRooms([parse_room(text)], step_limit=max(STEP_LIMIT, len(moves) + 1))
    frames = [_framed(rooms, _PLAYING)]
    actions = action_numbers(moves)[:LONGEST]
    for step, action in enumerate(actions, 1):
        rooms.step(np.array([action]))
        ended = _LOST if step == len(actions) else _PLAYING
        frames.append(_framed(rooms, _SOLVED if rooms.solved[0] else ended))
    return frames


def _framed(rooms: BatchedRooms, colour: tuple[int, int, int]) -> np.ndarray:
    inner = picture(rooms.room(0), TILE)
    height, width, _ = inner.shape
    made = np.empty((height + 2 * FRAME, width + 2 * FRAME, 3), dtype=np.uint8)
    made[:] = colour
    made[FRAME:-FRAME, FRAME:-FRAME] = inner
    return made
