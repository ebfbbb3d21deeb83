"""Observations of a room: cells as bits, and the two encodings of them that a model reads."""

from __future__ import annotations

import numpy as np

from laser.sokoban.room import Room

WALL, TARGET, BOX, PLAYER = 1, 2, 4, 8
"""Bits of a cell. A box on a target has both bits; floor has none."""

PLANES = ("wall", "target", "box", "player")
"""The planes of the encoding `grid`, in order: one per bit."""

ENCODINGS = ("grid", "pixels")

_COLOURS = {
    WALL: (0, 0, 0),
    0: (243, 248, 238),
    TARGET: (254, 126, 125),
    BOX | TARGET: (254, 95, 56),
    BOX: (142, 121, 56),
    PLAYER: (160, 212, 56),
    PLAYER | TARGET: (219, 212, 56),
}
"""The colours of gym-sokoban's tiny pictures."""

_PALETTE = np.zeros((16, 3), dtype=np.float32)
for _bits, _colour in _COLOURS.items():
    _PALETTE[_bits] = np.array(_colour, dtype=np.float32) / 255


def cells_of(room: Room) -> np.ndarray:
    """Return the bits of every cell of a room, (height * width,) uint8."""
    cells = np.zeros(room.height * room.width, dtype=np.uint8)
    for bit, where in ((WALL, room.walls), (TARGET, room.targets), (BOX, room.boxes), (PLAYER, {room.player})):
        cells[list(where)] |= bit
    return cells


def room_of(cells: np.ndarray, height: int, width: int) -> Room:
    """Return the room whose `cells_of` are these, (height * width,) uint8."""
    walls, targets, boxes, players = (
        frozenset(np.flatnonzero(cells & bit).tolist()) for bit in (WALL, TARGET, BOX, PLAYER)
    )
    return Room(height, width, walls, targets, boxes, min(players))


def feature_count(encoding: str, height: int, width: int, pixels_per_cell: int = 1) -> int:
    """Return the number of values in an observation of a room of this shape."""
    _check(encoding)
    return height * width * (len(PLANES) if encoding == "grid" else 3 * pixels_per_cell**2)


def encode(cells: np.ndarray, encoding: str, height: int, width: int, pixels_per_cell: int = 1) -> np.ndarray:
    """Encode cells as a model reads them.

    Args:
        cells: bits, (..., height * width) uint8.
        encoding: `grid`: the planes `PLANES`, one after the other, each row by row; 1 where the cell has the bit, or 0.
            `pixels`: red, green and blue of every pixel, row by row, in gym-sokoban's tiny colours, from 0 to 1.
        height: rows of the room.
        width: columns of the room.
        pixels_per_cell: side of a cell in pixels, for `pixels`.

    Returns:
        (..., features) float32, `feature_count` of them.
    """
    _check(encoding)
    before = cells.shape[:-1]
    if encoding == "grid":
        bits = np.array([WALL, TARGET, BOX, PLAYER], dtype=np.uint8)
        planes = (cells[..., None, :] & bits[:, None]) != 0
        return planes.reshape(*before, -1).astype(np.float32)
    picture = _PALETTE[cells].reshape(*before, height, width, 3)
    if pixels_per_cell > 1:
        picture = picture.repeat(pixels_per_cell, axis=-3).repeat(pixels_per_cell, axis=-2)
    return picture.reshape(*before, -1)


def _check(encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding '{encoding}' is not one of {ENCODINGS}")
