"""Length-sorted batches under a token budget, halved when the device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

Result = TypeVar("Result")

LACK_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "cudaErrorMemoryAllocation",
    # Libraries say this when no memory is left for their own workspace.
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUSOLVER_STATUS_NOT_INITIALIZED",
)
"""Parts of messages that show a lack of memory: those of torch, and those of the libraries beneath it."""


@dataclass
class Room:
    """What is known about the memory: the size of the smallest group that did not fit, in any unit."""

    too_large: float = float("inf")


def batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group indices so that each group's count times its longest sequence stays within the budget.

    The longest sequences come first, so that a batch that does not fit into memory fails at once. A sequence longer
    than the budget forms a group of its own. Equal lengths keep their order, so that the grouping is deterministic.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    for index in order:
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def run_halving(
    group: list[int],
    run: Callable[[list[int]], Result],
    room: Room | None = None,
    size: Callable[[list[int]], float] = len,
) -> Iterator[tuple[list[int], Result]]:
    """Run a group; if memory runs out, run its halves instead. A single sequence that does not fit is an error.

    Args:
        group: indices.
        run: runs a group or a part of it.
        room: shared by the groups of a run: a group as large as one that did not fit is halved without being tried.
        size: returns the size of a group, in one unit for all groups that share a `room`.

    Yields:
        (indices, result) for the parts that were run, in order.
    """
    room = Room() if room is None else room
    if len(group) == 1 or size(group) < room.too_large:
        try:
            result = run(group)
        except (RuntimeError, MemoryError) as error:
            if len(group) == 1 or not is_lack_of_memory(error):
                raise
            room.too_large = min(room.too_large, size(group))
        else:
            yield group, result
            return
        # Outside the handler, because the error's traceback holds the tensors of the failed run.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    middle = len(group) // 2
    for half in (group[:middle], group[middle:]):
        yield from run_halving(half, run, room, size)


def is_lack_of_memory(error: BaseException) -> bool:
    """Return True if an error is a lack of memory, on the device or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in LACK_OF_MEMORY)
