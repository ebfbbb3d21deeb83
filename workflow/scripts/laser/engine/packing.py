"""Packed batches of requests: prefix trees, the tokens' slots, and the positions at which answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from laser.engine.attention import Layout
from laser.engine.blocks import Network
from laser.engine.trees import Tree
from laser.tasks.passes import Requests


@dataclass(frozen=True)
class Prompt:
    """A generation within a batch.

    Attributes:
        index: index of the generation in the requests.
        row: index of its tree.
        path: nodes of its tree that are the prompt's tokens.
        new_tokens: largest number of new tokens.
    """

    index: int
    row: int
    path: tuple[int, ...]
    new_tokens: int


@dataclass
class Batch:
    """Some trees, packed tree after tree, node after node.

    Attributes:
        trees: the trees, in order.
        offsets: packed index of each tree's first node.
        width: number of nodes of the largest tree.
        ids, positions: (N,) int64.
        visible: (trees, width, width) bool, the nodes that each node sees.
        passes: per pass in the batch, (index of the request, row, path).
        prompts: the generations in the batch.
    """

    trees: list[Tree]
    offsets: list[int]
    width: int
    ids: Tensor
    positions: Tensor
    visible: Tensor
    passes: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """The number of requests that the batch answers."""
        return len(self.passes) + len(self.prompts)

    def packed(self, row: int, node: int) -> int:
        """Return a node's packed index."""
        return self.offsets[row] + node


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Return an array as a tensor of the same shape and type on a device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def sequences_of(requests: Requests) -> list[tuple[int, ...]]:
    """Return every sequence that has to be run: passes, then prompts."""
    return [request.ids for request in requests.passes] + [request.ids for request in requests.generations]


def make_batch(network: Network, trees: Sequence[Tree], requests: Requests, device: torch.device) -> Batch:
    """Pack trees whose members are indices into `sequences_of(requests)`."""
    offsets = np.concatenate(([0], np.cumsum([len(tree) for tree in trees]))).tolist()
    width = max(len(tree) for tree in trees)
    visible = np.zeros((len(trees), width, width), dtype=bool)
    ids, positions = [], []
    batch = Batch(list(trees), offsets, width, torch.empty(0), torch.empty(0), torch.empty(0))
    for row, tree in enumerate(trees):
        ids += tree.tokens
        if network.causal:
            positions += [network.first_position + depth for depth in tree.depths]
            visible[row, : len(tree), : len(tree)] = tree.ancestors()
        else:
            positions += _placed(network, tree.tokens)
            visible[row, : len(tree), : len(tree)] = True
        for member, path in sorted(tree.paths.items()):
            if member < len(requests.passes):
                batch.passes.append((member, row, tuple(path)))
            else:
                index = member - len(requests.passes)
                batch.prompts.append(Prompt(index, row, tuple(path), requests.generations[index].new_tokens))
    batch.ids = torch.tensor(ids, dtype=torch.long, device=device)
    batch.positions = torch.tensor(positions, dtype=torch.long, device=device)
    batch.visible = on_device(visible, device)
    return batch


def _placed(network: Network, tokens: Sequence[int]) -> list[int]:
    """Return position ids of a masked model's sequence; for a token that takes no position, its own id."""
    placed, reached = [], network.first_position
    for token in tokens:
        if token == network.unplaced:
            placed.append(token)
        else:
            placed.append(reached)
            reached += 1
    return placed


def layout_of(batch: Batch, asking: np.ndarray | None, copies: int, capacity: int) -> Layout:
    """Lay out a batch's nodes, once per copy (edit), in rows of `capacity` slots.

    Args:
        batch: the trees.
        asking: packed indices that have a query; None for all.
        copies: number of stacked edits.
        capacity: number of slots per row of the cache.
    """
    rows = np.repeat(np.arange(len(batch.trees)), np.diff(batch.offsets))
    slots = np.arange(len(rows)) - np.asarray(batch.offsets)[rows]
    count = len(batch.trees)
    shift = np.arange(copies)[:, None] * count
    device = batch.visible.device

    def tensor(values: np.ndarray) -> Tensor:
        return on_device(values.reshape(-1), device)

    filled = tensor((shift + rows) * capacity + slots)
    if asking is None:
        places = tensor((shift + rows) * batch.width + slots)
        visible = batch.visible.repeat(copies, 1, 1) if copies > 1 else batch.visible
        return Layout(filled, places, visible)
    asking_rows = rows[asking]
    rank = np.arange(len(asking_rows)) - np.searchsorted(asking_rows, asking_rows, side="left")
    width = int(rank.max()) + 1
    some = batch.visible.new_zeros(count, width, batch.width)
    some[torch.from_numpy(asking_rows), torch.from_numpy(rank)] = batch.visible[
        torch.from_numpy(asking_rows), torch.from_numpy(slots[asking])
    ]
    return Layout(
        filled,
        tensor((shift + asking_rows) * width + rank),
        some.repeat(copies, 1, 1),
        tensor(np.arange(copies)[:, None] * len(rows) + asking),
    )
