"""A* for Sokoban, optimal in moves."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from laser.sokoban.masks import distances, mask_of
from laser.sokoban.room import Room
from laser.sokoban.rules import MOVES, PUSHES, offsets
from laser.sokoban.solver_bounds import INFINITE, Bounds


@dataclass(frozen=True)
class Solution:
    """A solution of a room.

    Attributes:
        actions: LURD: lower case for moves, upper case for pushes; as few letters as possible.
        nodes: positions that were expanded.
    """

    actions: str
    nodes: int

    @property
    def pushes(self) -> int:
        """The number of actions that push a box; not always the fewest possible."""
        return sum(letter.isupper() for letter in self.actions)


def solve(room: Room, max_nodes: int) -> Solution | None:
    """Solve a room in as few moves as possible; a push is a move too.

    A position is the set of boxes and the cell of the player just after a push. Its successors are all pushes that the
    player can walk to; each costs the walk and one move. A* takes the position with the least sum of cost so far and
    estimated rest (`laser.sokoban.solver_bounds`) from a queue. The estimate never exceeds the true rest, and a
    position that is reached again at less cost goes into the queue again, so the first solved position that is taken
    out has the fewest moves.

    The same room gives the same actions everywhere: ties are broken by numbers.

    Returns:
        The solution, or None if there is none or `max_nodes` positions were expanded without finding one.
    """
    bounds = Bounds(room)
    cells, live = bounds.cells, bounds.live
    start = mask_of(room.boxes)
    if start & ~live:
        return None
    key = start * cells + room.player
    costs, parents = {key: 0}, {key: key}
    queue = [(bounds.estimate(start, room.player, min(room.boxes)), 0, key)]
    nodes = 0
    while queue:
        _, minus_cost, key = heapq.heappop(queue)
        if -minus_cost > costs[key]:
            continue
        boxes, player = divmod(key, cells)
        if boxes == bounds.targets:
            return Solution(_letters(key, parents, bounds.floor, room), nodes)
        if nodes == max_nodes:
            return None
        nodes += 1
        for box, landing, steps in pushes(boxes, player, bounds.floor & ~boxes, live, room.width):
            after = boxes ^ (1 << box) ^ (1 << landing)
            successor, cost = after * cells + box, steps - minus_cost
            if cost < costs.get(successor, INFINITE):
                rest = bounds.estimate(after, box, landing)
                if rest < INFINITE:
                    costs[successor], parents[successor] = cost, key
                    heapq.heappush(queue, (cost + rest, -cost, successor))
    return None


def pushes(boxes: int, player: int, free: int, live: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Yield (cell of the box, the cell it lands on, moves) of every push that the player can walk to, nearest first.

    Args:
        boxes: mask of the boxes.
        player: the player's cell.
        free: mask of the floor without boxes.
        live: mask of the cells that a box may be pushed on.
        width: columns of the room.
    """
    landing = free & live
    # Where the player stands: one cell behind a box whose next cell is free.
    places = (
        ((boxes & landing << width) << width & free, -width),
        ((boxes & landing >> width) >> width & free, width),
        ((boxes & landing << 1) << 1 & free, -1),
        ((boxes & landing >> 1) >> 1 & free, 1),
    )
    wanted = places[0][0] | places[1][0] | places[2][0] | places[3][0]
    seen = frontier = 1 << player
    moves = 1
    while frontier:
        if frontier & wanted:
            for standing, change in places:
                here = frontier & standing
                while here:
                    lowest = here & -here
                    here ^= lowest
                    box = lowest.bit_length() - 1 + change
                    yield box, box + change, moves
            wanted &= ~frontier
            if not wanted:
                return
        frontier = (frontier << 1 | frontier >> 1 | frontier << width | frontier >> width) & free & ~seen
        seen |= frontier
        moves += 1


def _letters(key: int, parents: dict[int, int], floor: int, room: Room) -> str:
    """Return the actions that lead to a position, walks between the pushes included."""
    cells, parts = room.height * room.width, []
    while (before := parents[key]) != key:
        boxes, player = divmod(before, cells)
        after, box = divmod(key, cells)
        landing = (after & ~boxes).bit_length() - 1
        change = landing - box
        walk = _walk(player, box - change, floor & ~boxes, room.width)
        parts.append(walk + PUSHES[offsets(room.width).index(change)])
        key = before
    return "".join(reversed(parts))


def _walk(start: int, goal: int, free: int, width: int) -> str:
    """Return a shortest walk; among several, steps are preferred in the order up, down, left, right."""
    left = distances(goal, free, width)
    letters = ""
    while start != goal:
        for letter, change in zip(MOVES, offsets(width), strict=True):
            if left.get(start + change) == left[start] - 1:
                letters, start = letters + letter, start + change
                break
    return letters
