"""Many rooms of one shape, stepped at once: the package's only implementation of the rules of Sokoban."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laser.sokoban.observations import BOX, PLAYER, TARGET, WALL, cells_of, encode, room_of
from laser.sokoban.room import Room
from laser.sokoban.rules import (
    ACTIONS,
    REWARD_OFF_TARGET,
    REWARD_ON_TARGET,
    REWARD_SOLVED,
    REWARD_STEP,
    STEP_LIMIT,
    offsets,
)


class BatchedRooms:
    """Episodes in rooms of one shape. A finished episode stays as it is and earns nothing more.

    Attributes:
        height, width: rows and columns of every room.
        cells: (rooms, height * width) uint8, the bits of `laser.sokoban.observations`.
        player: (rooms,) int64, the player's cell.
        solved: (rooms,) bool, every box stands on a target.
        done: (rooms,) bool, solved or out of steps.
        returns: (rooms,) float64, the sum of the rewards so far.
        steps: (rooms,) int64, taken so far, blocked ones included.
    """

    def __init__(self, rooms: Sequence[Room], step_limit: int = STEP_LIMIT) -> None:
        """Begin an episode in every room.

        Raises:
            ValueError: there is no room, their shapes differ, or a rim is not wall.
        """
        shapes = {(room.height, room.width) for room in rooms}
        if len(shapes) != 1:
            raise ValueError(f"rooms of one shape are needed, not {sorted(shapes)}")
        self.height, self.width = shapes.pop()
        self.step_limit = step_limit
        self.cells = np.stack([cells_of(room) for room in rooms])
        picture = self.cells.reshape(-1, self.height, self.width) & WALL
        if not (picture[:, [0, -1], :].all() and picture[:, :, [0, -1]].all()):
            raise ValueError("the rim of a room is wall")
        self.player = np.array([room.player for room in rooms], dtype=np.int64)
        self._astray = ((self.cells & (BOX | TARGET)) == BOX).sum(axis=1)  # boxes that stand on no target
        self._offsets = np.array(offsets(self.width), dtype=np.int64)
        self._first = np.arange(len(rooms), dtype=np.int64) * (self.height * self.width)
        self.solved = self._astray == 0
        self.done = self.solved | (step_limit <= 0)
        self.returns = np.zeros(len(rooms), dtype=np.float64)
        self.steps = np.zeros(len(rooms), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.player)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Take one step in every unfinished room.

        Args:
            actions: (rooms,) int64, indices into `ACTIONS`; those of finished rooms do not matter.

        Returns:
            Rewards, (rooms,) float64; 0 where the episode was over.

        Raises:
            ValueError: the shape is wrong, or a number is not an action.
        """
        actions = np.asarray(actions)
        if actions.shape != self.player.shape:
            raise ValueError(f"{len(self)} rooms need as many actions, not an array of shape {actions.shape}")
        if ((actions < 0) | (actions >= len(ACTIONS))).any():
            raise ValueError(f"actions are numbers from 0 to {len(ACTIONS) - 1}")
        cells = self.cells.reshape(-1)
        change = self._offsets[actions]
        here = self._first + self.player
        ahead = here + change
        # Beyond the rim there are no cells; the cell ahead is then a wall, so the clipped index has no effect.
        beyond = np.clip(ahead + change, 0, len(cells) - 1)
        box = (cells[ahead] & BOX) != 0
        clear = (cells[beyond] & (WALL | BOX)) == 0
        going = ~self.done
        moves = going & ((cells[ahead] & WALL) == 0) & (~box | clear)
        pushes = moves & box

        source, goal = ahead[pushes], beyond[pushes]
        gained = np.zeros(len(self), dtype=np.int64)
        gained[pushes] = (cells[goal] & TARGET) // TARGET
        gained[pushes] -= (cells[source] & TARGET) // TARGET
        cells[source] ^= BOX
        cells[goal] ^= BOX
        cells[here[moves]] ^= PLAYER
        cells[ahead[moves]] ^= PLAYER
        self.player[moves] += change[moves]
        self._astray -= gained

        rewards = np.where(going, REWARD_STEP, 0.0)
        rewards[gained > 0] += REWARD_ON_TARGET
        rewards[gained < 0] += REWARD_OFF_TARGET
        self.solved = self._astray == 0
        rewards[going & self.solved] += REWARD_SOLVED
        self.steps += going
        self.returns += rewards
        self.done = self.solved | (self.steps >= self.step_limit)
        return rewards

    def room(self, index: int) -> Room:
        """Return one room as it is now."""
        return room_of(self.cells[index], self.height, self.width)

    def observe(self, encoding: str, pixels_per_cell: int = 1) -> np.ndarray:
        """Return the observations, (rooms, features) float32; see `laser.sokoban.observations.encode`."""
        return encode(self.cells, encoding, self.height, self.width, pixels_per_cell)
