"""The solver: as few moves as breadth-first search finds, and solutions that the rules agree with."""

import numpy as np
import pytest

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.generate import generate_room
from laser.sokoban.masks import mask_of
from laser.sokoban.room import Room, parse_room, room_text
from laser.sokoban.rules import action_numbers
from laser.sokoban.solver import solve
from laser.sokoban.solver_bounds import INFINITE, Bounds

from .rooms import CORRIDOR, ONE_PUSH, TWO_BOXES, fewest_moves, letters, plain_step


def scattered(height, width, boxes, seed):
    """A room of random walls, targets, boxes and player: often without a solution, with boxes on targets at times."""
    drawn = np.random.default_rng([seed, height, width, boxes])
    inner = [row * width + column for row in range(1, height - 1) for column in range(1, width - 1)]
    places = drawn.permutation(inner).tolist()
    pillars = int(drawn.integers(len(inner) // 4 + 1))
    targets = frozenset(places[pillars : pillars + boxes])
    free = drawn.permutation(places[pillars:]).tolist()
    walls = frozenset(range(height * width)) - frozenset(inner) | frozenset(places[:pillars])
    return Room(height, width, walls, targets, frozenset(free[:boxes]), free[boxes])


def replays(room, actions):
    batch = BatchedRooms([room], step_limit=10_000)
    for action in action_numbers(actions):
        assert not batch.done[0]
        batch.step(np.array([action]))
    return bool(batch.solved[0])


def agrees(room):
    """Compare with breadth-first search; return whether there is a solution."""
    fewest = fewest_moves(room, most=60_000)
    found = solve(room, 100_000)
    if fewest is None:
        assert found is None
        return False
    assert found is not None and len(found.actions) == fewest
    assert fewest == 0 or replays(room, found.actions)
    assert letters(room, action_numbers(found.actions)) == found.actions
    return True


@pytest.mark.parametrize(
    ("room", "actions"), [(ONE_PUSH, "R"), (CORRIDOR, "rRR"), (parse_room("#####\n#@* #\n#####"), "")]
)
def test_small_rooms(room, actions):
    assert solve(room, 10).actions == actions


def test_pushes_are_counted():
    found = solve(TWO_BOXES, 1000)
    assert found.pushes == sum(one in "UDLR" for one in found.actions) > 1
    assert found.nodes < 100


@pytest.mark.parametrize(
    ("height", "width", "boxes", "rooms"), [(6, 6, 1, 60), (5, 6, 2, 200), (6, 6, 2, 120), (5, 6, 3, 200)]
)
def test_scattered_rooms_take_the_fewest_moves_or_have_no_solution(height, width, boxes, rooms):
    solved = [agrees(scattered(height, width, boxes, seed)) for seed in range(rooms)]
    assert 5 < sum(solved) < rooms


@pytest.mark.parametrize(("height", "width", "boxes", "rooms"), [(7, 7, 1, 60), (7, 7, 2, 60), (6, 8, 3, 15)])
def test_generated_rooms_take_the_fewest_moves(height, width, boxes, rooms):
    assert all(agrees(generate_room(height, width, boxes, seed=1, index=index)) for index in range(rooms))


def test_it_gives_up_after_so_many_nodes_and_not_before():
    room = generate_room(8, 8, 3, seed=2, index=0)
    found = solve(room, 100_000)
    assert found.nodes > 2
    assert solve(room, found.nodes) == found
    assert solve(room, found.nodes - 1) is None


def test_the_same_room_has_the_same_solution():
    room = generate_room(8, 8, 2, seed=3, index=1)
    assert solve(room, 10_000) == solve(parse_room(room_text(room)), 10_000)


@pytest.mark.parametrize(
    "text",
    [
        "######\n#$ @ #\n#  . #\n######",  # in a corner
        "#######\n#@    #\n#  .  #\n#   $ #\n#######",  # at a wall, with the target elsewhere
        "######\n#@   #\n# $$.#\n# $#.#\n#   .#\n######",  # three of a square of four, the last one wall
        "######\n#@#$.#\n# #  #\n######",  # the player is shut in
        "#######\n#@    #\n#  $  #\n#.# #.#\n#  $  #\n#######",  # two boxes, and one can reach one target only
    ],
)
def test_rooms_without_a_solution_cost_few_nodes(text):
    room = parse_room(text)
    assert fewest_moves(room) is None
    assert solve(room, 100_000) is None


def test_no_estimate_exceeds_the_truth():
    """From positions of random play, lost ones included, and with every box as the one pushed last."""
    checked = lost = 0
    for seed in range(150):
        room = scattered(5, 6, 2, 1000 + seed)
        bounds = Bounds(room)
        drawn = np.random.default_rng(seed)
        player, boxes = room.player, room.boxes
        for _ in range(25):
            player, after = plain_step(room, player, boxes, int(drawn.integers(4)))
            pushed, boxes = after - boxes, after
            here = Room(room.height, room.width, room.walls, room.targets, boxes, player)
            last = min(pushed or boxes)
            if mask_of(boxes) & ~bounds.live:
                assert fewest_moves(here, 60_000) is None
                break
            estimate, truth = bounds.estimate(mask_of(boxes), player, last), fewest_moves(here, 60_000)
            assert truth is None or estimate <= truth
            lost += estimate == INFINITE
            checked += 1
    assert checked > 300 and lost > 10


def test_with_one_box_the_estimate_is_the_truth():
    for index in range(15):
        room = generate_room(7, 7, 1, seed=4, index=index)
        bounds = Bounds(room)
        assert bounds.estimate(mask_of(room.boxes), room.player, min(room.boxes)) == fewest_moves(room)


def test_live_cells_are_those_from_which_a_box_alone_can_be_brought_home():
    room = parse_room("#######\n#  #  #\n# .$@ #\n#     #\n#######")
    bounds = Bounds(room)
    for cell in set(range(35)) - room.walls:
        ways = [
            fewest_moves(Room(5, 7, room.walls, room.targets, frozenset({cell}), player))
            for player in set(range(35)) - room.walls - {cell}
        ]
        assert bool(bounds.live >> cell & 1) == any(way is not None for way in ways)


@pytest.mark.parametrize(
    ("text", "frozen"),
    [
        ("######\n#@   #\n# $$ #\n# .. #\n######", False),
        ("######\n#@$$ #\n# .. #\n#    #\n######", True),  # side by side at the wall, off their targets
        ("######\n#@** #\n#    #\n#    #\n######", False),  # the same on their targets is a solution
        ("######\n#@   #\n# $$.#\n# $#.#\n#   .#\n######", True),  # three of a square of four, the last one wall
        ("######\n#@ . #\n# $$ #\n#  # #\n#  . #\n######", False),
    ],
)
def test_boxes_that_hold_each_other_are_seen(text, frozen):
    room = parse_room(text)
    bounds = Bounds(room)
    for box in room.boxes:
        assert (bounds.estimate(mask_of(room.boxes), room.player, box) == INFINITE) == frozen
        bounds._known.clear()


def test_boxes_do_not_share_a_target():
    room = parse_room("#########\n#@      #\n# .$$ . #\n#       #\n#########")
    right = max(room.boxes)
    bounds = Bounds(room)
    # One push and two if each took its nearest target; a target each costs one push and two to the other side.
    assert bounds._assign(mask_of(room.boxes)) == 1 + 2
    shared = Room(room.height, room.width, room.walls, frozenset({right + 1, right + 3}), room.boxes, room.player)
    assert Bounds(shared)._assign(mask_of(room.boxes)) == 2 + 3
