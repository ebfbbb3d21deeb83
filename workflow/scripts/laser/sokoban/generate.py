"""Rooms by reverse play: a random walk digs the room, boxes begin on the targets and are pulled away from them.

The procedure is gym-sokoban's, in the order of its steps and with its constants: floor is dug by stamps of up to 3 x 3
cells along a walk that changes its direction with probability 0.35; targets and the player get random cells; a
depth-first search in reverse, with pulls for pushes, scores every position it meets by (number of changes of the pulled
box) x (sum of the boxes' distances from their targets, in rows plus columns), and the best one is the room. A position
in which a target is covered, by a box or the player, scores 0, and if no position scores more, another room is dug.

It differs in what a state of the search is: in gym-sokoban every step of the player, here every pull, with all cells
that the player can walk to as one state. The player ends on a random one of those cells. This makes a bounded search
(`STATES`) deep enough. Every position is reached from the solved one by pulls, and a pull undone is a push, so every
room can be solved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from laser.errors import UserError
from laser.sokoban.masks import cells_in, flood, mask_of
from laser.sokoban.room import Room
from laser.sokoban.rules import offsets

STATES = 500
"""Number of positions that the reverse search visits."""

ATTEMPTS = 2000
"""Number of rooms that are dug before `generate_room` gives up."""

WALK_PER_SIDE = 1.7
TURNING = 0.35
_STAMPS = (
    ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
    ((0, 0, 0), (1, 1, 0), (0, 1, 0)),
    ((0, 0, 0), (1, 1, 0), (1, 1, 0)),
    ((0, 0, 0), (0, 1, 1), (0, 1, 0)),
)
"""Patterns of cells that a step of the walk may dig around itself; 1 is floor."""


def generate_room(height: int, width: int, boxes: int, seed: int, index: int, states: int = STATES) -> Room:
    """Return room `index` of the series that the other arguments define, without making the others.

    Args:
        height: rows, the rim of wall included.
        width: columns, the rim of wall included.
        boxes: number of boxes, and of targets.
        seed: the series' seed.
        index: the room's number in the series, from 0.
        states: number of positions that the reverse search visits; more of them give rooms with longer solutions.

    Raises:
        UserError: no room of this size with that many boxes was found.
    """
    drawn = np.random.Generator(np.random.PCG64([seed, height, width, boxes, index]))
    if min(height, width) >= 3 and boxes >= 1:
        for _ in range(ATTEMPTS):
            floor = _dig(height, width, drawn)
            free = list(cells_in(floor))
            if len(free) > 2 * boxes:
                places = drawn.permutation(len(free))[: boxes + 1].tolist()
                targets = [free[cell] for cell in places[:boxes]]
                position = _play_backwards(floor, width, targets, free[places[boxes]], states, drawn)
                if position is not None:
                    walls = frozenset(range(height * width)) - frozenset(free)
                    return Room(height, width, walls, frozenset(targets), frozenset(position[0]), position[1])
    raise UserError(
        f"no room of height {height} and width {width} with boxes {boxes} was found in {ATTEMPTS} attempts "
        f"(seed {seed}, index {index}): ask for a larger room or fewer boxes."
    )


def _dig(height: int, width: int, drawn: np.random.Generator) -> int:
    """Return the mask of the floor: the cells that a random walk's stamps cover, except the rim."""
    steps = int(WALK_PER_SIDE * (height + width))
    turning = (drawn.random(steps) < TURNING).tolist()
    ways = drawn.integers(4, size=steps + 1).tolist()
    stamps = drawn.integers(len(_STAMPS), size=steps).tolist()
    row, column = int(drawn.integers(1, height)), int(drawn.integers(1, width))
    way = ways[steps]
    floor = 0
    for step in range(steps):
        if turning[step]:
            way = ways[step]
        down, right = ((1, 0), (0, 1), (-1, 0), (0, -1))[way]
        row = max(min(row + down, height - 2), 1)
        column = max(min(column + right, width - 2), 1)
        for r, line in enumerate(_STAMPS[stamps[step]], row - 1):
            for c, digs in enumerate(line, column - 1):
                if digs and 0 < r < height - 1 and 0 < c < width - 1:
                    floor |= 1 << (r * width + c)
    return floor


def _play_backwards(
    floor: int, width: int, targets: list[int], player: int, states: int, drawn: np.random.Generator
) -> tuple[tuple[int, ...], int] | None:
    """Return the boxes and the player of the best position that pulls lead to, or None if no position scores.

    The search is depth-first and takes the pulls of a position in random order.
    """
    goals = mask_of(targets)
    best, best_score = None, 0
    seen: set[tuple[int, int]] = set()
    # Boxes in the order of the targets they came from, the player, the box pulled last, changes of the pulled box.
    stack = [(tuple(targets), player, -1, 0)]
    order = drawn.permutation(states * 4).tolist()
    while stack and len(seen) < states:
        boxes, player, last, changes = stack.pop()
        occupied = mask_of(boxes)
        reach = flood(1 << player, floor & ~occupied, width)
        state = (occupied, reach & -reach)
        if state in seen:
            continue
        seen.add(state)
        if not occupied & goals and reach & ~goals:
            score = changes * sum(map(_distance, boxes, targets, [width] * len(boxes)))
            if score > best_score:
                best, best_score = (boxes, reach & ~goals), score
        pulls = list(_pulls(floor & ~occupied, width, boxes, reach))
        turn = order[len(seen) % len(order)]
        for at in range(len(pulls)):
            number, cell, standing = pulls[(at + turn) % len(pulls)]
            moved = (*boxes[:number], cell, *boxes[number + 1 :])
            stack.append((moved, standing, number, changes + (number != last)))
    if best is None:
        return None
    cells = list(cells_in(best[1]))
    return best[0], cells[int(drawn.integers(len(cells)))]


def _pulls(free: int, width: int, boxes: tuple[int, ...], reach: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number of the box, its new cell, the player's new cell) of every pull."""
    for number, box in enumerate(boxes):
        for change in offsets(width):
            standing = box + change
            if reach >> standing & 1 and free >> (standing + change) & 1:
                yield number, standing, standing + change


def _distance(first: int, second: int, width: int) -> int:
    return abs(first // width - second // width) + abs(first % width - second % width)
