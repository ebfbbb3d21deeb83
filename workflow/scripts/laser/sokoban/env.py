"""The rules as a gymnasium environment: one room at a time, with the same code as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.observations import feature_count
from laser.sokoban.render import picture
from laser.sokoban.room import Room
from laser.sokoban.rules import ACTIONS, STEP_LIMIT


class SokobanEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Sokoban in rooms of one shape.

    Actions are the numbers of `laser.sokoban.rules.ACTIONS`; observations are (features,) float32 from 0 to 1.
    `terminated` says that the room is solved, `truncated` that the steps are used up. `info` has `room`, the index of
    the room being played, and `solved`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012 (gymnasium reads it from the class)

    def __init__(
        self,
        rooms: Sequence[Room],
        encoding: str = "grid",
        pixels_per_cell: int = 1,
        step_limit: int = STEP_LIMIT,
        render_mode: str | None = None,
    ) -> None:
        """Make the environment.

        Args:
            rooms: what `reset` chooses from: at random with its seed, or the one named by `options={"room": index}`.
            encoding: `grid` or `pixels`, see `laser.sokoban.observations.encode`.
            pixels_per_cell: side of a cell in pixels, for `pixels`.
            step_limit: largest number of steps in an episode.
            render_mode: None or `rgb_array`.
        """
        self.rooms = list(rooms)
        self.encoding, self.pixels_per_cell, self.step_limit = encoding, pixels_per_cell, step_limit
        self.render_mode = render_mode
        self._index = 0
        self._episode = BatchedRooms(self.rooms[:1], step_limit)
        features = feature_count(encoding, self._episode.height, self._episode.width, pixels_per_cell)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (features,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; return (observation, info)."""
        super().reset(seed=seed)
        chosen = (options or {}).get("room")
        self._index = int(self.np_random.integers(len(self.rooms))) if chosen is None else int(chosen)
        self._episode = BatchedRooms([self.rooms[self._index]], self.step_limit)
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take a step; return (observation, reward, terminated, truncated, info)."""
        reward = float(self._episode.step(np.array([action]))[0])
        solved = bool(self._episode.solved[0])
        return self._observation(), reward, solved, bool(self._episode.done[0]) and not solved, self._info()

    def render(self) -> np.ndarray | None:
        """Return the room as a picture, (height * 16, width * 16, 3) uint8, or None without `rgb_array`."""
        return picture(self._episode.room(0)) if self.render_mode == "rgb_array" else None

    def _observation(self) -> np.ndarray:
        return self._episode.observe(self.encoding, self.pixels_per_cell)[0]

    def _info(self) -> dict[str, Any]:
        return {"room": self._index, "solved": bool(self._episode.solved[0])}
