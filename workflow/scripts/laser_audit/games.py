"""Sokoban reimplemented: a room from its text, gym-sokoban's rules, and the name that rotated and mirrored rooms share.

Cells are (row, column); boxes and targets are sets of them. Nothing here is shared with the code that made the rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

Cell = tuple[int, int]

KNOWN = frozenset("# .$*@+")
WAYS: dict[str, Cell] = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}
STEP, ON, OFF, SOLVED = -0.1, 1.0, -1.0, 10.0
"""Points for a step, for a box pushed onto a target, for a box pushed off one, and for solving the room."""


@dataclass(frozen=True)
class Room:
    """A room, read from its text.

    Attributes:
        height, width: number of rows and columns.
        walls, targets, boxes: their cells.
        player: the player's cell.
    """

    height: int
    width: int
    walls: frozenset[Cell]
    targets: frozenset[Cell]
    boxes: frozenset[Cell]
    player: Cell


@dataclass(frozen=True)
class Step:
    """One step of a game.

    Attributes:
        letter: the move in Sokoban's notation, a capital where a box was pushed.
        reward: its points.
        total: points up to and including it.
        solved: True if every box is on a target after it.
        player: the player's cell after it.
    """

    letter: str
    reward: float
    total: float
    solved: bool
    player: Cell


@lru_cache(maxsize=100_000)
def read_room(text: str) -> Room:
    """Read a room; raise ValueError if the text is not one."""
    lines = text.split("\n")
    if len({len(line) for line in lines}) != 1 or len(lines) < 3 or len(lines[0]) < 3:
        raise ValueError("a room has at least 3 lines of at least 3 characters, all equally long")
    where: dict[str, set[Cell]] = {sign: set() for sign in KNOWN}
    for row, line in enumerate(lines):
        for column, sign in enumerate(line):
            if sign not in KNOWN:
                raise ValueError(f"a room with {sign!r} in it")
            rim = row in (0, len(lines) - 1) or column in (0, len(line) - 1)
            if rim and sign != "#":
                raise ValueError(f"the rim of a room is wall, not {sign!r}")
            where[sign].add((row, column))
    players, boxes = where["@"] | where["+"], where["$"] | where["*"]
    targets = where["."] | where["*"] | where["+"]
    if len(players) != 1 or not boxes or len(boxes) != len(targets):
        raise ValueError(f"a room with {len(players)} players, {len(boxes)} boxes and {len(targets)} targets")
    walls = frozenset(where["#"])
    return Room(len(lines), len(lines[0]), walls, frozenset(targets), frozenset(boxes), min(players))


@dataclass(frozen=True)
class Outcome:
    """How a game ended.

    Attributes:
        moves: the moves that were played, a capital where a box was pushed.
        total: sum of the points.
        solved: True if every box is on a target.
    """

    moves: str
    total: float
    solved: bool


@lru_cache(maxsize=200_000)
def outcome(text: str, moves: str) -> Outcome:
    """Return how a game ends in a room that is not solved at the start; arguments and errors are those of `play`."""
    steps = play(text, moves)
    last = steps[-1] if steps else Step("", 0.0, 0.0, False, (0, 0))
    return Outcome("".join(step.letter for step in steps), last.total, last.solved)


def play(text: str, moves: str) -> tuple[Step, ...]:
    """Play moves in a room until it is solved; moves after that are not played.

    Args:
        text: the room's text.
        moves: letters u, d, l, r; their case does not matter.

    Raises:
        ValueError: the text is not a room, or a letter is not a move.
    """
    room = read_room(text)
    boxes, (row, column) = set(room.boxes), room.player
    total, steps = 0.0, []
    for move in moves:
        if boxes <= room.targets:
            break
        if move.lower() not in WAYS:
            raise ValueError(f"{move!r} is not a move")
        down, right = WAYS[move.lower()]
        ahead, behind = (row + down, column + right), (row + 2 * down, column + 2 * right)
        reward, letter = STEP, move.lower()
        if ahead in boxes and behind not in boxes and behind not in room.walls:
            boxes.remove(ahead)
            boxes.add(behind)
            letter = letter.upper()
            change = (behind in room.targets) - (ahead in room.targets)
            reward += ON if change > 0 else OFF if change < 0 else 0.0
        if ahead not in boxes and ahead not in room.walls:
            row, column = ahead
        solved = boxes <= room.targets
        reward += SOLVED if solved else 0.0
        total += reward
        steps.append(Step(letter, reward, total, solved, (row, column)))
    return tuple(steps)


def shared_name(text: str) -> str:
    """Return the sha256 (64 hex digits) of the smallest of a room's eight rotated and mirrored texts."""
    lines = text.split("\n")
    forms = []
    for _ in range(4):
        lines = ["".join(column) for column in zip(*reversed(lines), strict=True)]
        forms += ["\n".join(lines), "\n".join(line[::-1] for line in lines)]
    return hashlib.sha256(min(forms).encode()).hexdigest()


def kept_from_training(name: str, share: float) -> bool:
    """Return True if a room is among the `share` of rooms kept from training; its name's first 16 digits decide."""
    return int(name[:16], 16) < share * 2.0**64
