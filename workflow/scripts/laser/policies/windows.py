"""The training data of a policy: expert episodes as arrays, cut into windows of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laser.sokoban.episodes import replay
from laser.sokoban.room import parse_room
from laser.sokoban.rules import offsets

GROUP = 1024
"""Number of episodes that are replayed side by side."""


@dataclass(frozen=True)
class Steps:
    """All steps of many expert episodes, one episode after the other.

    Attributes:
        height, width: size of the rooms.
        cells: (steps, height * width) uint8, the room before each step.
        actions: (steps,) int64, the expert's actions.
        to_go: (steps,) float32, the sum of the rewards from this step to the end, in points.
        numbers: (steps,) int64, the step's number in its episode, from 0.
        episodes: (steps,) int64, the episode's number.
    """

    height: int
    width: int
    cells: np.ndarray
    actions: np.ndarray
    to_go: np.ndarray
    numbers: np.ndarray
    episodes: np.ndarray

    def __len__(self) -> int:
        return len(self.actions)


def steps_of(texts: Sequence[str], paths: Sequence[str]) -> Steps:
    """Replay expert episodes, in groups side by side.

    Args:
        texts: the rooms, all of one shape.
        paths: the expert's moves in each room, LURD letters, at least one.

    Raises:
        ValueError: an episode does not end with its room solved.
    """
    columns: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(texts), GROUP):
        rooms = [parse_room(text) for text in texts[start : start + GROUP]]
        played = replay(rooms, paths[start : start + GROUP])
        if not played.solved.all():
            raise ValueError(f"episode {start + int(np.argmin(played.solved))} does not end with its room solved")
        there = np.arange(played.actions.shape[1]) < played.lengths[:, None]
        numbers = np.broadcast_to(np.arange(there.shape[1]), there.shape)
        episodes = np.broadcast_to(start + np.arange(len(rooms))[:, None], there.shape)
        to_go = played.returns_to_go.astype(np.float32)
        columns.append((played.cells[there], played.actions[there], to_go[there], numbers[there], episodes[there]))
    shape = parse_room(texts[0])
    return Steps(shape.height, shape.width, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def windows(steps: Steps, context: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut every episode into windows of `context` steps, at different steps in every epoch, and shuffle them.

    Returns:
        The index of each window's first step, and its number of steps; both (windows,) int64. Every step is in
        exactly one window; an episode's first and last window may be shorter. Both depend only on seed and epoch.
    """
    drawn = np.random.Generator(np.random.PCG64([seed, 0, epoch]))
    phases = drawn.integers(context, size=int(steps.episodes[-1]) + 1)
    begins = (steps.numbers == 0) | ((steps.numbers + phases[steps.episodes]) % context == 0)
    first = np.flatnonzero(begins)
    lengths = np.diff(np.append(first, len(steps)))
    order = drawn.permutation(len(first))
    return first[order], lengths[order]


@dataclass(frozen=True)
class Batch:
    """Windows padded at the end: the arguments of `laser.policies.inputs.action_logits`.

    Attributes:
        cells: (windows, context, height * width) uint8.
        actions: (windows, context) int64.
        to_go: (windows, context) float32.
        first: (windows,) int64.
        there: (windows, context) bool, False at padding.
    """

    cells: np.ndarray
    actions: np.ndarray
    to_go: np.ndarray
    first: np.ndarray
    there: np.ndarray


def batch_of(
    steps: Steps, first: np.ndarray, lengths: np.ndarray, context: int, forms: np.ndarray | None = None
) -> Batch:
    """Gather windows into a batch.

    Args:
        steps: the steps of all episodes.
        first: (windows,) index of each window's first step.
        lengths: (windows,) number of steps of each window.
        context: largest number of steps of a window.
        forms: (windows,) index of the turned or mirrored form in which each window is shown (`symmetries`), or None.
    """
    there = np.arange(context) < lengths[:, None]
    index = np.where(there, first[:, None] + np.arange(context), first[:, None])
    cells, actions = steps.cells[index], steps.actions[index]
    if forms is not None:
        order, renamed = symmetries(steps.height, steps.width)
        cells = np.take_along_axis(cells, order[forms][:, None, :], axis=2)
        actions = renamed[forms[:, None], actions]
    return Batch(cells, actions, steps.to_go[index], steps.numbers[first], there)


def symmetries(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the forms in which a room can be shown: 8 if it is square, otherwise 4; the first is the room itself.

    Returns:
        The cell of the room at each position of the form, (forms, cells) int64; and the number of each action in the
        form, (forms, 4) int64.
    """
    grid = np.arange(height * width).reshape(height, width)
    orders, renamed = [], []
    for turned in (False, True) if height == width else (False,):
        for rows in (1, -1):
            for columns in (1, -1):
                form = (grid.T if turned else grid)[::rows, ::columns].reshape(-1)
                position_of = np.argsort(form)
                middle = int(grid[1, 1])
                # In the form, the renamed action moves a cell's position as the action moves the cell in the room.
                moved = [int(position_of[middle + step] - position_of[middle]) for step in offsets(width)]
                orders.append(form)
                renamed.append([offsets(width).index(step) for step in moved])
    return np.array(orders, dtype=np.int64), np.array(renamed, dtype=np.int64)
