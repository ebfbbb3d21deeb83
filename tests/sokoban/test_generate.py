"""Rooms by reverse play: always solvable, the same from any process, and nothing on its target yet.

Beside rooms that gym-sokoban 0.0.6 made (36, against 300 of ours): 10 x 10 with four boxes 27 cells of floor and 14
pushes to solve (ours 28 and 13), 7 x 7 with two boxes 16 and 4 (16 and 5), with one 14 and 3 (14 and 3). It forgets
which box was pulled last, so that its score counts every pull as a change of the box; ours counts changes.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from laser.errors import UserError
from laser.sokoban import generate
from laser.sokoban.generate import generate_room
from laser.sokoban.masks import cells_in, distances, flood, mask_of
from laser.sokoban.room import parse_room, room_hash, room_text
from laser.sokoban.solver import solve

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"


@pytest.mark.parametrize(
    ("height", "width", "boxes", "count"), [(7, 7, 1, 60), (7, 7, 2, 60), (6, 9, 3, 20), (10, 10, 4, 5)]
)
def test_every_room_can_be_solved_and_has_its_shape(height, width, boxes, count):
    for index in range(count):
        room = generate_room(height, width, boxes, seed=7, index=index)
        assert (room.height, room.width, len(room.boxes), len(room.targets)) == (height, width, boxes, boxes)
        assert parse_room(room_text(room)) == room
        # Reverse play leaves every target free: of boxes and of the player.
        assert not room.targets & (room.boxes | {room.player})
        assert solve(room, 300_000) is not None


def test_floor_hangs_together():
    for index in range(40):
        room = generate_room(8, 8, 2, seed=0, index=index)
        floor = mask_of(set(range(64)) - room.walls)
        assert flood(1 << room.player, floor, 8) == floor


def test_a_room_depends_on_its_seed_and_number_alone():
    rooms = {index: generate_room(7, 7, 2, seed=3, index=index) for index in (5, 2, 9, 0)}
    assert [generate_room(7, 7, 2, seed=3, index=index) for index in rooms] == list(rooms.values())
    assert len({room_hash(room) for room in rooms.values()}) == 4
    assert generate_room(7, 7, 2, seed=4, index=5) != rooms[5]
    code = (
        "from laser.sokoban.generate import generate_room; from laser.sokoban.room import room_text;"
        "print(room_text(generate_room(7, 7, 2, seed=3, index=9)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip("\n") == room_text(rooms[9])


def test_a_longer_search_makes_rooms_with_longer_solutions():
    moves = {}
    for states in (5, 500):
        rooms = [generate_room(8, 8, 2, seed=1, index=index, states=states) for index in range(60)]
        moves[states] = np.mean([len(solve(room, 100_000).actions) for room in rooms])
    assert moves[500] > 1.2 * moves[5]


@pytest.mark.parametrize(("height", "width", "boxes"), [(3, 3, 1), (2, 9, 1), (4, 4, 3), (7, 7, 0)])
def test_what_does_not_fit_is_said(height, width, boxes, monkeypatch):
    monkeypatch.setattr(generate, "ATTEMPTS", 50)
    with pytest.raises(UserError, match=f"height {height} and width {width} with boxes {boxes}"):
        generate_room(height, width, boxes, seed=0, index=0)


def test_masks_walk_as_one_walks():
    room = parse_room("######\n#@ # #\n#$## #\n#.   #\n######")
    free = mask_of(set(range(30)) - room.walls)
    assert set(cells_in(flood(1 << 7, free, 6))) == set(cells_in(free))
    steps = distances(7, free, 6)
    assert steps[7] == 0 and steps[8] == 1 and steps[13] == 1 and steps[10] == 7
    assert set(steps) == set(cells_in(free))
