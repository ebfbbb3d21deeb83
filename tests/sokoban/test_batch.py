"""The rules on batches: against the plainest implementation, and the rewards one by one.

Compared once with gym-sokoban 0.0.6, installed aside (with gym 0.26.2): 400 episodes in rooms of 7 x 7 to 10 x 10 with
one to four boxes, 37,695 steps of random and expert play, 107 rooms solved. Rewards, returns, ends, rooms and tiny
pictures were the same throughout.
"""

import numpy as np
import pytest

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.generate import generate_room
from laser.sokoban.room import parse_room, room_text
from laser.sokoban.rules import ACTIONS, PUSHES, STEP_LIMIT, action_numbers, offsets

from .rooms import CORRIDOR, ONE_PUSH, TWO_BOXES, plain_step


def play(room, letters, step_limit=STEP_LIMIT):
    batch = BatchedRooms([room], step_limit)
    return batch, [float(batch.step(np.array([action]))[0]) for action in action_numbers(letters)]


def test_actions_are_named_in_one_order():
    assert [ACTIONS[one][0].upper() for one in action_numbers("UdLr")] == list("UDLR") == list(PUSHES)
    assert offsets(10) == (-10, 10, -1, 1)
    with pytest.raises(ValueError):
        action_numbers("x")


def test_solving_earns_the_target_and_the_end_less_the_step():
    batch, rewards = play(ONE_PUSH, "R")
    assert rewards == [-0.1 + 1 + 10]
    assert batch.solved[0] and batch.done[0] and batch.steps[0] == 1
    assert room_text(batch.room(0)) == "#####\n# @*#\n#####"


def test_every_step_costs_even_a_blocked_one():
    batch, rewards = play(CORRIDOR, "ulrRR")
    assert rewards == pytest.approx([-0.1, -0.1, -0.1, -0.1, 10.9])
    assert batch.steps[0] == 5 and batch.returns[0] == pytest.approx(10.5)


def test_a_box_pushed_off_its_target_costs_a_point_and_from_target_to_target_nothing():
    room = parse_room("#########\n#@$..  $#\n#########")
    _, rewards = play(room, "RRRr")
    assert rewards == pytest.approx([-0.1 + 1, -0.1, -0.1 - 1, -0.1])


def test_a_box_does_not_move_into_a_wall_or_another_box():
    batch, rewards = play(parse_room("#######\n#@$$..#\n#######"), "RR")
    assert rewards == [-0.1, -0.1]
    assert room_text(batch.room(0)) == "#######\n#@$$..#\n#######"
    batch, rewards = play(parse_room("######\n#. @$#\n######"), "R")
    assert rewards == [-0.1]
    assert room_text(batch.room(0)) == "######\n#. @$#\n######"


def test_a_finished_episode_stays_as_it_is_and_earns_nothing():
    batch = BatchedRooms([parse_room("#####\n#@$.#\n#####"), parse_room("#####\n#.$@#\n#####")], step_limit=2)
    right = np.array([3, 3])
    assert batch.step(right).tolist() == [10.9, -0.1]
    assert batch.done.tolist() == [True, False]
    assert batch.step(np.array([2, 3])).tolist() == [0.0, -0.1]
    assert batch.done.tolist() == [True, True] and batch.solved.tolist() == [True, False]
    before = batch.cells.copy()
    assert batch.step(np.array([2, 2])).tolist() == [0.0, 0.0]
    assert (batch.cells == before).all() and batch.steps.tolist() == [1, 2]
    assert batch.returns == pytest.approx([10.9, -0.2])


def test_the_step_that_is_the_last_allowed_one_may_still_solve():
    batch, rewards = play(ONE_PUSH, "R", step_limit=1)
    assert batch.solved[0] and rewards == [10.9]


def test_a_room_that_is_solved_from_the_start_is_over():
    batch, rewards = play(parse_room("#####\n#@* #\n#####"), "R")
    assert batch.done[0] and rewards == [0.0] and batch.steps[0] == 0


@pytest.mark.parametrize(("height", "width", "boxes"), [(7, 7, 1), (6, 9, 2), (10, 10, 4)])
def test_random_play_in_many_rooms_follows_the_rules(height, width, boxes):
    rooms = [generate_room(height, width, boxes, seed=5, index=index, states=100) for index in range(60)]
    batch = BatchedRooms(rooms, step_limit=150)
    plain = [(room.player, room.boxes) for room in rooms]
    totals = np.zeros(len(rooms))
    done = np.zeros(len(rooms), dtype=bool)
    drawn = np.random.default_rng(0)
    for step in range(160):
        actions = drawn.integers(4, size=len(rooms))
        rewards = batch.step(actions)
        for i, room in enumerate(rooms):
            if done[i]:
                assert rewards[i] == 0
                continue
            before = len(plain[i][1] & room.targets)
            plain[i] = plain_step(room, *plain[i], actions[i])
            after = len(plain[i][1] & room.targets)
            solved = after == len(room.targets)
            assert rewards[i] == pytest.approx(-0.1 + (after - before) + 10 * solved)
            done[i] = solved or step + 1 == 150
        totals += rewards
        assert (batch.done == done).all()
    for i, (player, standing) in enumerate(plain):
        assert batch.room(i) == rooms[i].__class__(height, width, rooms[i].walls, rooms[i].targets, standing, player)
    assert batch.returns == pytest.approx(totals)
    assert done.all()


def test_what_cannot_be_stepped_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        BatchedRooms([ONE_PUSH, TWO_BOXES])
    with pytest.raises(ValueError, match="one shape"):
        BatchedRooms([])
    with pytest.raises(ValueError, match="rim"):
        BatchedRooms([ONE_PUSH.__class__(3, 5, frozenset(), frozenset({8}), frozenset({7}), 6)])
    batch = BatchedRooms([ONE_PUSH])
    with pytest.raises(ValueError, match="as many actions"):
        batch.step(np.array([0, 1]))
    with pytest.raises(ValueError, match="from 0 to 3"):
        batch.step(np.array([4]))


def test_rooms_are_not_changed_by_play():
    text = room_text(TWO_BOXES)
    play(TWO_BOXES, "RRrr")
    assert room_text(TWO_BOXES) == text
