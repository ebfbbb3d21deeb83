"""A Sokoban room, its text in the usual (XSB) characters, and the name shared by all its turned and mirrored forms."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from laser.errors import UserError

WALL, FLOOR, TARGET, BOX, BOX_ON_TARGET, PLAYER, PLAYER_ON_TARGET = "# .$*@+"
_NAMES = "'#' wall, ' ' floor, '.' target, '$' box, '*' box on a target, '@' player, '+' player on a target"

Side = Literal["training", "evaluation"]


@dataclass(frozen=True)
class Room:
    """A room at the beginning of an episode, or at any later step.

    A cell is its number, row * width + column. The rim of a room is wall.

    Attributes:
        height: rows.
        width: columns.
        walls: cells.
        targets: cells; as many as boxes.
        boxes: cells.
        player: cell.
    """

    height: int
    width: int
    walls: frozenset[int]
    targets: frozenset[int]
    boxes: frozenset[int]
    player: int


def parse_room(text: str, where: str = "room") -> Room:
    """Read a room from its text.

    Args:
        text: one line per row, all of one length; empty lines before and after are ignored.
        where: the beginning of an error message.

    Raises:
        UserError: the text is not a room; the message names the line and what is wrong with it.
    """
    rows = text.strip("\r\n").splitlines()
    width = len(rows[0]) if rows else 0
    if len(rows) < 3 or width < 3:
        raise UserError(f"{where}: a room has at least 3 lines of 3 characters; this one has {len(rows)} of {width}.")
    for number, row in enumerate(rows, 1):
        _check_line(f"{where}, line {number} ('{row}')", row, width, rim=number in (1, len(rows)))
    line = "".join(rows)
    cells = {character: _places(line, character) for character in set(line)}
    none: frozenset[int] = frozenset()
    on_target, player_on_target = cells.get(BOX_ON_TARGET, none), cells.get(PLAYER_ON_TARGET, none)
    boxes = cells.get(BOX, none) | on_target
    targets = cells.get(TARGET, none) | on_target | player_on_target
    players = cells.get(PLAYER, none) | player_on_target
    if len(players) != 1:
        raise UserError(f"{where}: has {len(players)} players ('@' or '+'); a room has one.")
    if not boxes or len(boxes) != len(targets):
        raise UserError(
            f"{where}: has {len(boxes)} boxes ('$' or '*') and {len(targets)} targets ('.', '*' or '+'); "
            "a room has as many targets as boxes, and at least one."
        )
    return Room(len(rows), width, cells.get(WALL, none), targets, boxes, min(players))


def _check_line(where: str, row: str, width: int, rim: bool) -> None:
    if len(row) != width:
        raise UserError(
            f"{where}: has {len(row)} characters, and line 1 has {width}. All lines of a room have the same length: "
            "pad short ones with '#'."
        )
    if unknown := set(row) - set("# .$*@+"):
        raise UserError(f"{where}: '{min(unknown)}' is not known. Allowed: {_NAMES}.")
    if row[0] != WALL or row[-1] != WALL or (rim and set(row) != {WALL}):
        raise UserError(f"{where}: the rim of a room must be wall ('#') all round.")


def _places(line: str, character: str) -> frozenset[int]:
    return frozenset(cell for cell, symbol in enumerate(line) if symbol == character)


def room_text(room: Room) -> str:
    """Return the text of a room; `parse_room` turns it back into the room."""
    cells = [FLOOR] * (room.height * room.width)
    for cell in room.walls:
        cells[cell] = WALL
    for cell in room.targets:
        cells[cell] = TARGET
    for cell in room.boxes:
        cells[cell] = BOX_ON_TARGET if cell in room.targets else BOX
    cells[room.player] = PLAYER_ON_TARGET if room.player in room.targets else PLAYER
    line = "".join(cells)
    return "\n".join(line[start : start + room.width] for start in range(0, len(line), room.width))


def room_hash(room: Room) -> str:
    """Return the sha256 (64 hex digits) that a room shares only with its turned and mirrored forms."""
    return hashlib.sha256(min(_symmetric_texts(room_text(room))).encode()).hexdigest()


def _symmetric_texts(text: str) -> list[str]:
    rows = text.split("\n")
    forms = []
    for lines in (rows, ["".join(column) for column in zip(*rows, strict=True)]):
        for upright in (lines, lines[::-1]):
            forms += ["\n".join(upright), "\n".join(row[::-1] for row in upright)]
    return forms


def side_of(identity: str, evaluation_share: float) -> Side:
    """Return which side a room is on. It depends only on the room's hash, so that no room is ever on both sides.

    Args:
        identity: `room_hash`; its first 16 digits are used, the others are free for further splits.
        evaluation_share: share of rooms that are never trained on, from 0 to 1.
    """
    return "evaluation" if int(identity[:16], 16) < evaluation_share * 2**64 else "training"
