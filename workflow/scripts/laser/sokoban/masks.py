"""Sets of cells as the bits of an integer: cell c is bit 1 << c. A whole room is flooded in a few operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from laser.sokoban.room import Room


def mask_of(cells: Iterable[int]) -> int:
    """Return the integer whose set bits are these cells."""
    mask = 0
    for cell in cells:
        mask |= 1 << cell
    return mask


def cells_in(mask: int) -> Iterator[int]:
    """Yield the cells of a mask in ascending order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def floor_mask(room: Room) -> int:
    """Return all cells of a room that are not wall."""
    return mask_of(set(range(room.height * room.width)) - room.walls)


def flood(start: int, free: int, width: int) -> int:
    """Return the mask of the cells that can be walked to.

    Args:
        start: mask of the cells to begin from; they belong to the result.
        free: mask of the cells that can be walked on. The rim of the room is not among them, so that no step from a
            row's end reaches the next row.
        width: columns of the room.
    """
    seen = frontier = start
    while frontier:
        frontier = (frontier << 1 | frontier >> 1 | frontier << width | frontier >> width) & free & ~seen
        seen |= frontier
    return seen


def distances(start: int, free: int, width: int) -> dict[int, int]:
    """Map every reachable cell to its distance in steps.

    Args:
        start: the cell to begin from.
        free: mask of the cells that can be walked on, as in `flood`.
        width: columns of the room.
    """
    steps_to = {start: 0}
    seen = frontier = 1 << start
    steps = 0
    while frontier:
        steps += 1
        frontier = (frontier << 1 | frontier >> 1 | frontier << width | frontier >> width) & free & ~seen
        seen |= frontier
        for cell in cells_in(frontier):
            steps_to[cell] = steps
    return steps_to
