"""Sokoban reimplemented: gym-sokoban's rules, and the name that rotated and mirrored rooms share.

Nothing here is shared with the code that made the rows.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

WAYS = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}
STEP, ON, OFF, SOLVED = -0.1, 1.0, -1.0, 10.0
"""Points for a step, for a box pushed onto a target, for a box pushed off one, and for solving the room."""


@lru_cache(maxsize=200_000)
def play(text: str, moves: str) -> tuple[str, float, bool]:
    """Play moves in a room until it is solved; moves after that are not played.

    Args:
        text: the room's text.
        moves: letters u, d, l, r; their case does not matter.

    Returns:
        The moves that were played, a capital where a box was pushed; their points; True if moves solved the room.

    Raises:
        ValueError: the text is not a room, or a letter is not a move.
    """
    cells = {(row, column): sign for row, line in enumerate(text.split("\n")) for column, sign in enumerate(line)}
    free, boxes, targets, players = (
        {cell for cell, sign in cells.items() if sign in signs} for signs in (" .$*@+", "$*", ".*+", "@+")
    )
    if len(players) != 1 or not boxes or len(boxes) != len(targets):
        raise ValueError(f"a room with {len(players)} players, {len(boxes)} boxes and {len(targets)} targets")
    row, column = min(players)
    points, played = 0.0, ""
    for move in moves.lower():
        if boxes <= targets:
            break
        if move not in WAYS:
            raise ValueError(f"{move!r} is not a move")
        down, right = WAYS[move]
        ahead, behind = (row + down, column + right), (row + 2 * down, column + 2 * right)
        reward = STEP
        if ahead in boxes and behind in free - boxes:
            boxes ^= {ahead, behind}
            move = move.upper()
            onto = (behind in targets) - (ahead in targets)
            reward += ON if onto > 0 else OFF if onto < 0 else 0.0
        if ahead in free - boxes:
            row, column = ahead
        points += reward + (SOLVED if boxes <= targets else 0.0)
        played += move
    return played, points, bool(played) and boxes <= targets


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
