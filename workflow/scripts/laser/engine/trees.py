"""Prefix trees of token sequences: sequences with a common prefix share its tokens.

A causal model's state at a token depends only on that token and those before it. A shared prefix is therefore computed
once, with an attention mask that lets every token see its ancestors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

SHARE = 1 / 8


@dataclass
class Tree:
    """A tree of tokens; parents come before their children.

    Attributes:
        tokens: token ids, one per node.
        parents: index of each node's parent; -1 at the start of a sequence.
        depths: number of ancestors of each node, which is its position.
        paths: per member (index of a sequence), its nodes in order.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, member: int, sequence: Sequence[int], beside: Sequence[int] = (), shared: int = 0) -> list[int]:
        """Add a sequence whose first `shared` tokens are those of the path `beside`, and return the new nodes."""
        path = list(beside[:shared])
        made = []
        for token in sequence[shared:]:
            node = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(path[-1] if path else -1)
            self.depths.append(len(path))
            path.append(node)
            made.append(node)
        self.paths[member] = path
        return made

    def ancestors(self) -> np.ndarray:
        """Return (nodes, nodes) bool: row i is True at node i and its ancestors."""
        seen = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the common prefix of two sequences."""
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return index
    return min(len(first), len(second))


def prefix_trees(sequences: Sequence[Sequence[int]], limit: int = 64, share: float = SHARE) -> list[Tree]:
    """Merge sequences into prefix trees.

    Sequences are sorted. A sequence joins its neighbour's tree if at least `share` of it is already there and the tree
    stays within `limit` nodes, or within twice its longest sequence if more than half of the new one is there. In a
    larger tree every token attends over more slots, a cost that a short prefix does not pay back.

    Args:
        sequences: token ids of each sequence; none is empty.
        limit: largest number of nodes of a tree, unless its longest sequence has more.
        share: part of a sequence that must be shared.

    Returns:
        Trees whose paths together contain every index of `sequences` once.
    """
    order = sorted(range(len(sequences)), key=lambda index: (tuple(sequences[index]), index))
    trees: list[Tree] = []
    longest = 0
    previous = -1
    for index in order:
        sequence = sequences[index]
        shared = common(sequence, sequences[previous]) if trees else 0
        room = max(limit, max(longest, len(sequence)) * (2 if 2 * shared > len(sequence) else 1))
        if trees and len(trees[-1]) + len(sequence) - shared <= room and shared >= max(1, share * len(sequence)):
            trees[-1].add(index, sequence, trees[-1].paths[previous], shared)
            longest = max(longest, len(sequence))
        else:
            trees.append(Tree())
            trees[-1].add(index, sequence)
            longest = len(sequence)
        previous = index
    return trees


def separate(sequences: Sequence[Sequence[int]]) -> list[Tree]:
    """Return a tree per sequence, for masked models, whose tokens also see the tokens after them."""
    trees = []
    for index, sequence in enumerate(sequences):
        trees.append(Tree())
        trees[-1].add(index, sequence)
    return trees
