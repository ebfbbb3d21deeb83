"""Labels of rooms, and episodes played again for training."""

import numpy as np
import pytest

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.episodes import NO_ACTION, label, replay
from laser.sokoban.generate import generate_room
from laser.sokoban.room import parse_room, room_hash, room_text, side_of
from laser.sokoban.rules import action_numbers

from .rooms import CORRIDOR, fewest_moves

ROOMS = [generate_room(7, 7, 1 + index % 2, seed=0, index=index) for index in range(12)]
CORNERED = parse_room("######\n#$ @ #\n#  . #\n######")


def test_every_room_has_a_row_the_unsolved_ones_too():
    rows = label([*ROOMS, CORNERED], max_nodes=10_000, evaluation_share=0.3)
    assert [row["text"] for row in rows] == [room_text(room) for room in [*ROOMS, CORNERED]]
    for row, room in zip(rows, ROOMS, strict=False):
        assert row["hash"] == room_hash(room) and row["side"] == side_of(row["hash"], 0.3)
        assert (row["height"], row["width"], row["boxes"]) == (7, 7, len(room.boxes))
        assert row["solved"] and row["moves"] == len(row["actions"]) == fewest_moves(room)
        assert row["pushes"] == sum(one.isupper() for one in row["actions"]) > 0
        assert 0 < row["nodes"] <= 10_000
    lost = rows[-1]
    assert not lost["solved"] and lost["actions"] == "" and lost["moves"] == lost["pushes"] == -1
    assert {row["side"] for row in label(ROOMS, 10_000, 0.0)} == {"training"}


def test_a_room_that_needs_more_nodes_is_left_unsolved():
    (hard,) = label([generate_room(8, 8, 3, seed=2, index=0)], max_nodes=2, evaluation_share=0.1)
    assert not hard["solved"] and hard["nodes"] == 2


def test_labels_are_the_same_again():
    assert label(ROOMS, 1000, 0.1) == label(ROOMS, 1000, 0.1)


def test_episodes_side_by_side_are_those_played_alone():
    actions = [row["actions"] for row in label(ROOMS, 10_000, 0.1)]
    together = replay(ROOMS, actions)
    assert together.cells.dtype == np.uint8 and together.actions.dtype == np.int64
    assert together.solved.all() and together.lengths.tolist() == [len(one) for one in actions]
    for i, (room, letters) in enumerate(zip(ROOMS, actions, strict=True)):
        alone = BatchedRooms([room])
        for step, action in enumerate(action_numbers(letters)):
            assert (together.cells[i, step] == alone.cells[0]).all()
            assert together.actions[i, step] == action
            assert together.rewards[i, step] == alone.step(np.array([action]))[0]
        assert (together.actions[i, len(letters) :] == NO_ACTION).all()
        assert (together.rewards[i, len(letters) :] == 0).all()
        assert together.returns_to_go[i, 0] == pytest.approx(alone.returns[0])


def test_what_is_still_to_come_is_summed_from_the_end():
    played = replay([CORRIDOR], ["rRR"])
    assert played.returns_to_go[0] == pytest.approx([10.7, 10.8, 10.9])


def test_an_episode_may_end_before_its_room_is_solved_but_not_go_on_after():
    played = replay([CORRIDOR, CORRIDOR], ["rR", "rRR"])
    assert played.solved.tolist() == [False, True]
    assert played.rewards[0].tolist() == [-0.1, -0.1, 0]
    with pytest.raises(ValueError, match="continues after"):
        replay([CORRIDOR, CORRIDOR], ["rRR", "rRRl"])
