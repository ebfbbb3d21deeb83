"""Expert episodes: rooms with the moves that solve them, and the training data that is replayed from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.room import Room, room_hash, room_text, side_of
from laser.sokoban.rules import action_numbers
from laser.sokoban.solver import solve

NO_ACTION = -1
"""Pads the actions of episodes that are shorter than the longest."""


def label(rooms: Iterable[Room], max_nodes: int, evaluation_share: float) -> list[dict[str, Any]]:
    """Solve rooms.

    Args:
        rooms: of any shapes.
        max_nodes: the solver's limit; a room that needs more is left unsolved.
        evaluation_share: share of the rooms that are never trained on.

    Returns:
        One row per room, in their order, unsolved ones included: `text`, `hash`, `side` (training or evaluation),
        `height`, `width`, `boxes`, `solved`, `actions` (the expert's, in LURD; empty if unsolved), `moves`, `pushes`
        (-1 if unsolved), `nodes` (that the solver expanded; `max_nodes` if unsolved).
    """
    rows = []
    for room in rooms:
        solution = solve(room, max_nodes)
        identity = room_hash(room)
        rows.append(
            {
                "text": room_text(room),
                "hash": identity,
                "side": side_of(identity, evaluation_share),
                "height": room.height,
                "width": room.width,
                "boxes": len(room.boxes),
                "solved": solution is not None,
                "actions": solution.actions if solution else "",
                "moves": len(solution.actions) if solution else -1,
                "pushes": solution.pushes if solution else -1,
                "nodes": solution.nodes if solution else max_nodes,
            }
        )
    return rows


@dataclass(frozen=True)
class Replay:
    """Episodes of several rooms side by side, padded to the longest (`steps`).

    Attributes:
        cells: (rooms, steps, height * width) uint8: the cells before each step, as the bits of
            `laser.sokoban.observations`, whose `encode` turns them into what a model reads.
        actions: (rooms, steps) int64, `NO_ACTION` after an episode's end.
        rewards: (rooms, steps) float64, 0 after an episode's end.
        lengths: (rooms,) int64.
        solved: (rooms,) bool, at the end.
    """

    cells: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray
    solved: np.ndarray

    @property
    def returns_to_go(self) -> np.ndarray:
        """The sum of the rewards from each step to the end, (rooms, steps) float64."""
        return self.rewards[:, ::-1].cumsum(axis=1)[:, ::-1]


def replay(rooms: Sequence[Room], actions: Sequence[str]) -> Replay:
    """Play given actions in rooms of one shape, all rooms at once.

    Args:
        rooms: where the episodes begin.
        actions: LURD, one string per room.

    Raises:
        ValueError: an episode continues after its room is solved, or rooms differ in shape.
    """
    numbers = [action_numbers(letters) for letters in actions]
    lengths = np.array([len(episode) for episode in numbers], dtype=np.int64)
    steps = int(lengths.max(initial=0))
    wanted = np.full((len(rooms), steps), NO_ACTION, dtype=np.int64)
    for index, episode in enumerate(numbers):
        wanted[index, : len(episode)] = episode
    batch = BatchedRooms(rooms, step_limit=steps)
    cells = np.empty((len(rooms), steps, batch.height * batch.width), dtype=np.uint8)
    rewards = np.zeros((len(rooms), steps), dtype=np.float64)
    running = wanted != NO_ACTION
    for step in range(steps):
        if (running[:, step] & batch.done).any():
            raise ValueError("an episode continues after its room is solved")
        batch.done |= ~running[:, step]
        cells[:, step] = batch.cells
        rewards[:, step] = batch.step(np.where(running[:, step], wanted[:, step], 0))
    return Replay(cells, wanted, rewards, lengths, batch.solved)
