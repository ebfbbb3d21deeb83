"""Bounds for the solver, prepared before it searches: lower bounds on the remaining moves, tests for lost positions.

Both bounds come from problems in which a box is alone in the room and the player walks around it. Only the other boxes
are ignored, so the bounds never exceed the truth.

* Pushes: the number of pushes that take a box from a cell to a target, minimised over the sides that the player may
  begin at; then the cheapest way to give every box a target of its own. Every push is a move and moves one box.
* One box: the moves that take the player to a box and this box to its nearest target, walks between the pushes
  included; the largest over the boxes. With one box this is exact.

The estimate is the larger of the two. A position is lost, and is not searched, if

* a box stands on a cell from which no target can be reached even with the room to itself (a corner, say),
* the boxes cannot be given a target each, or
* a box can never be pushed again (walls, boxes that cannot be pushed either, or cells of the first kind on both sides)
  and not all boxes of such a group stand on targets.
"""

from __future__ import annotations

import heapq

from laser.sokoban.masks import cells_in, distances, floor_mask, mask_of
from laser.sokoban.room import Room
from laser.sokoban.rules import offsets

INFINITE = 1 << 30

Side = tuple[int, int]
"""A box's cell, and the direction (action number) that the player beside it is ready to push it in."""


class Bounds:
    """Tables of one room, and cached results about positions in it.

    Attributes:
        floor: mask of the cells that are not wall.
        targets: mask of the targets.
        live: mask of the cells from which a box on its own can reach a target.
    """

    def __init__(self, room: Room) -> None:
        """Prepare the tables of a room, which takes some milliseconds for 10 x 10."""
        self.width = room.width
        self.cells = room.height * room.width
        self.floor, self.targets = floor_mask(room), mask_of(room.targets)
        self._offsets = offsets(room.width)
        self._walks = self._walks_beside_boxes()
        self._moves = self._backwards(sorted(room.targets), walk=True)
        pushes = [self._backwards([target], walk=False) for target in sorted(room.targets)]
        self._pushes: dict[int, list[tuple[int, int]]] = {}
        for cell in cells_in(self.floor):
            sides = [(cell, way) for way in range(4)]
            least = [min(costs.get(side, INFINITE) for side in sides) for costs in pushes]
            if self.targets >> cell & 1:
                least[sorted(room.targets).index(cell)] = 0
            self._pushes[cell] = [(1 << number, cost) for number, cost in enumerate(least) if cost < INFINITE]
        self.live = mask_of(cell for cell, costs in self._pushes.items() if costs)
        self._nearest: dict[int, list[int]] = {}
        self._known: dict[int, tuple[int, list[list[int]]]] = {}

    def estimate(self, boxes: int, player: int, pushed: int) -> int:
        """Return a lower bound on the moves that are left, `INFINITE` if the position is lost.

        Args:
            boxes: mask of the boxes.
            player: the player's cell.
            pushed: the box that was pushed last; any box before the first push.
        """
        known = self._known.get(boxes)
        if known is None:
            known = self._known[boxes] = self._judge(boxes, pushed)
        least, nearest = known
        for moves in nearest:
            if moves[player] > least:
                least = moves[player]
        return least

    def _judge(self, boxes: int, pushed: int) -> tuple[int, list[list[int]]]:
        """Return the bound by pushes, and for every box that is on no target its table of `_moves_of_one`."""
        if self._frozen(pushed, boxes, 0) & ~self.targets:
            return INFINITE, []
        return self._assign(boxes), [self._moves_of_one(cell) for cell in cells_in(boxes & ~self.targets)]

    def _assign(self, boxes: int) -> int:
        """Return the least sum of pushes that gives every box a target of its own."""
        cheapest = {0: 0}
        for cell in cells_in(boxes):
            costs: dict[int, int] = {}
            for taken, so_far in cheapest.items():
                for target, cost in self._pushes[cell]:
                    if not taken & target and so_far + cost < costs.get(taken | target, INFINITE):
                        costs[taken | target] = so_far + cost
            cheapest = costs
        return min(cheapest.values(), default=INFINITE)

    def _moves_of_one(self, cell: int) -> list[int]:
        """Return, for every cell of the player, the moves that a box on `cell` needs if it is alone in the room."""
        if cell not in self._nearest:
            least = [INFINITE] * self.cells
            for way in range(4):
                rest = self._moves.get((cell, way), INFINITE)
                if rest < INFINITE:
                    for player, steps in self._walks[cell, way].items():
                        least[player] = min(least[player], steps + rest)
            self._nearest[cell] = least
        return self._nearest[cell]

    def _frozen(self, cell: int, boxes: int, held: int) -> int:
        """Return the mask of the boxes that block each other for good, `cell` included; 0 if `cell` can still move.

        Args:
            cell: of a box.
            boxes: mask of all boxes.
            held: mask of boxes that are assumed fixed, because the recursion came from them.
        """
        held |= 1 << cell
        frozen = 1 << cell
        for step in (1, self.width):
            before, after = 1 << (cell - step), 1 << (cell + step)
            if (before | after) & (~self.floor | held) or not (before | after) & (self.live | boxes):
                continue
            for beside, where in ((before, cell - step), (after, cell + step)):
                if boxes & beside and (others := self._frozen(where, boxes, held)):
                    frozen |= others
                    break
            else:
                return 0
        return frozen

    def _walks_beside_boxes(self) -> dict[Side, dict[int, int]]:
        """Return the walks from every side of a box to every cell, around this box only."""
        walks = {}
        for cell in cells_in(self.floor):
            free = self.floor & ~(1 << cell)
            for way, change in enumerate(self._offsets):
                if free >> (cell - change) & 1:
                    walks[cell, way] = distances(cell - change, free, self.width)
        return walks

    def _backwards(self, targets: list[int], walk: bool) -> dict[Side, int]:
        """Return the cost of taking a box to the nearest of these targets, from every side of every cell that can.

        Args:
            targets: the targets' cells.
            walk: whether a step of the player around the box costs 1 (True), as a push does, or 0.
        """
        costs = {(cell, way): 0 for cell in targets for way in range(4) if (cell, way) in self._walks}
        queue = [(0, side) for side in costs]
        while queue:
            cost, (cell, way) = heapq.heappop(queue)
            if cost > costs[cell, way]:
                continue
            standing = cell - self._offsets[way]
            # Before a push in this direction, the box was where the player is now.
            before = [((standing, way), cost + 1)] if (standing, way) in self._walks else []
            for turned in range(4):
                if (steps := self._walks.get((cell, turned), {}).get(standing)) is not None:
                    before.append(((cell, turned), cost + steps * walk))
            for side, total in before:
                if total < costs.get(side, INFINITE):
                    costs[side] = total
                    heapq.heappush(queue, (total, side))
        return costs
