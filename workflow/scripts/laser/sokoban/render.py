"""Rooms as pictures, and series of pictures as GIFs. The tiles are drawn here, from circles and squares."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from laser.io.files import atomic
from laser.sokoban.observations import BOX, PLAYER, TARGET, WALL, cells_of
from laser.sokoban.room import Room

TILE = 16
_FINER = 4  # tiles are drawn this many times larger, then averaged

# Okabe and Ito's colours, which colour-blind readers can tell apart. In grey, the order from dark to light is wall,
# player, box on target, target, box, floor. Each also has its own shape.
_WALL, _JOINT = (58, 58, 66), (92, 92, 102)
_FLOOR, _TARGET = (246, 244, 238), (204, 121, 167)
_BOX, _HOME, _EDGE = (230, 159, 0), (0, 158, 115), (40, 36, 30)
_PLAYER, _FACE = (0, 84, 147), (255, 255, 255)


def picture(room: Room, tile: int = TILE) -> np.ndarray:
    """Draw a room.

    Args:
        room: at any step.
        tile: pixels of a cell's side, at least 4.

    Returns:
        (height * tile, width * tile, 3) uint8.
    """
    drawn = _tiles(tile)[cells_of(room).reshape(room.height, room.width)]
    return drawn.swapaxes(1, 2).reshape(room.height * tile, room.width * tile, 3).copy()


@functools.cache
def _tiles(tile: int) -> np.ndarray:
    """Return the tile of every combination of bits, (16, tile, tile, 3) uint8."""
    side = tile * _FINER
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    away = np.hypot(x, y)
    square = np.maximum(abs(x), abs(y))
    across = np.minimum(abs(x - y), abs(x + y))
    tiles = np.empty((16, side, side, 3), dtype=np.float64)
    tiles[:] = _FLOOR
    for bits in range(16):
        image = tiles[bits]
        if bits & WALL:
            image[:] = _WALL
            # Bricks: two courses, each with a joint below and one upright.
            joint = (y % 0.5 < 0.06) | ((abs(x + 0.25) < 0.03) & (y < 0)) | ((abs(x - 0.25) < 0.03) & (y >= 0))
            image[joint] = _JOINT
            continue
        if bits & TARGET:
            image[(away < 0.40) & (away > 0.28)] = _TARGET
            image[away < 0.10] = _TARGET
        if bits & BOX:
            image[square < 0.42] = _EDGE
            image[square < 0.35] = _HOME if bits & TARGET else _BOX
            # A box off target is crossed out; a box on a target shows the target's dot.
            image[(square < 0.35) & ((away < 0.14) if bits & TARGET else (across < 0.07))] = (
                _FACE if bits & TARGET else _EDGE
            )
        if bits & PLAYER:
            image[away < (0.27 if bits & TARGET else 0.34)] = _PLAYER
            for eye in (-0.12, 0.12):
                image[np.hypot(x - eye, y + 0.06) < 0.065] = _FACE
    return tiles.reshape(16, tile, _FINER, tile, _FINER, 3).mean(axis=(2, 4)).round().astype(np.uint8)


def write_film(frames: Sequence[np.ndarray], path: Path | str, milliseconds: int = 150) -> None:
    """Write a GIF that repeats forever. Equal frames give equal bytes.

    Args:
        frames: at least one, each (height, width, 3) uint8, all of one shape. To show a frame longer, repeat it.
        path: output path.
        milliseconds: duration of every frame, in steps of ten.
    """
    # One palette for all frames: otherwise each frame would choose its own colours.
    strip = Image.fromarray(np.concatenate([np.unique(frame.reshape(-1, 3), axis=0) for frame in frames])[None])
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    first, *others = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    with atomic(path) as temporary, temporary.open("wb") as file:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
