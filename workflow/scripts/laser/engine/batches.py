"""Length-sorted batches under a token budget, halved when the device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Result = TypeVar("Result")


def batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group indices so that each group's count times its longest sequence stays within the budget.

    Longest first: a batch that does not fit the memory shows itself at once. A sequence longer than the budget
    forms a group of its own. Equal lengths keep their order, so that the grouping is deterministic.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    for index in order:
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def run_halving(group: list[int], run: Callable[[list[int]], Result]) -> Iterator[tuple[list[int], Result]]:
    """Run a group; on out-of-memory run its halves instead. A single sequence that does not fit is an error.

    Yields (indices, result) for the parts that were run, in order.
    """
    try:
        yield group, run(group)
        return
    except RuntimeError as error:
        if len(group) == 1 or not _out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    middle = len(group) // 2
    for half in (group[:middle], group[middle:]):
        yield from run_halving(half, run)


def _out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error is a lack of memory; on the CPU torch raises a plain RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
