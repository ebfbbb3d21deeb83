"""Greedy decoding of many (edit, prompt) pairs at once, one token per step.

Below the edit, a pair's new token passes through the layers of the base model. Their output depends only on the tokens,
so pairs of one prompt with the same new tokens share it. From the edit on, every pair has its own states. New tokens
take further slots in the rows of the prompts' trees; under the mask, each token sees only its own sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from laser.engine.answers import NO_TOKEN, next_tokens
from laser.engine.attention import Cache, Layout, through_attention, through_layer
from laser.engine.blocks import Network
from laser.engine.edited_layer import edited_attention, edited_mlp
from laser.engine.edited_matrix import Change
from laser.engine.packing import Batch, on_device


@dataclass
class Pair:
    """One prompt under one edit.

    Attributes:
        edit: index within the stacked edits.
        prompt: index within the batch's prompts.
        tokens: new tokens so far; the last has not been run yet.
        line: index into the last step's nodes of the record of the lower layers' slots that the pair sees.
    """

    edit: int
    prompt: int
    tokens: list[int]
    line: int = 0


def columns(batch: Batch) -> tuple[np.ndarray, int]:
    """Return each prompt's index among the prompts of its row, and the largest number of prompts in a row."""
    seen: dict[int, int] = {}
    indices = []
    for prompt in batch.prompts:
        indices.append(seen.get(prompt.row, 0))
        seen[prompt.row] = indices[-1] + 1
    return np.array(indices, dtype=np.int64), max(seen.values(), default=0)


def capacity(batch: Batch) -> int:
    """Return the number of slots that a row needs for its tree and for all tokens that its prompts can decode."""
    longest = max((prompt.new_tokens for prompt in batch.prompts), default=1)
    return batch.width + columns(batch)[1] * max(0, longest - 1)


def finished(tokens: Sequence[int], wanted: int, ends: tuple[int, ...]) -> bool:
    """Return True if a generation is complete, or cannot go on because no token was the most probable one."""
    return len(tokens) >= wanted or tokens[-1] in ends or tokens[-1] == NO_TOKEN


@torch.inference_mode()
def continue_greedily(
    network: Network,
    layer: int,
    in_mlp: bool,
    edits: Sequence[Change],
    batch: Batch,
    lower: Cache,
    upper: Cache,
    pairs: Sequence[Pair],
    ends: tuple[int, ...],
) -> None:
    """Complete the pairs' tokens in place.

    Args:
        network: the model.
        layer: the layer of the edits.
        in_mlp: whether they are in its MLP; otherwise they are in its attention.
        edits: the stacked edits.
        batch: the batch, whose trees fill the first `batch.width` slots of every row.
        lower: keys and values of the layers that the edits share, a row per tree; grows.
        upper: keys and values of the layers from the edit on, a row per (edit, tree).
        pairs: the pairs, ordered by edit.
        ends: tokens that end a generation.
    """
    column_of, across = columns(batch)
    rows = len(batch.trees)
    device = batch.ids.device
    row_of = np.array([prompt.row for prompt in batch.prompts], dtype=np.int64)
    lower_seen = np.zeros((len(pairs), lower.slots), dtype=bool)
    upper_seen = np.zeros((len(edits) * rows, across, upper.slots), dtype=bool)
    for index, pair in enumerate(pairs):
        prompt = batch.prompts[pair.prompt]
        known = list(prompt.path)
        pair.line = index
        lower_seen[index, known] = True
        upper_seen[pair.edit * rows + prompt.row, column_of[pair.prompt], known] = True
    used = np.full(rows, batch.width, dtype=np.int64)
    for step in range(10**9):
        pending = [pair for pair in pairs if not finished(pair.tokens, batch.prompts[pair.prompt].new_tokens, ends)]
        if not pending:
            return
        leaders, node_of = _distinct(pending)
        node_rows = row_of[[pair.prompt for pair in leaders]]
        ranks = _ranks(node_rows)
        slots = used[node_rows] + ranks
        counts = np.bincount(node_rows, minlength=rows)
        used += counts
        lower.grow(int(used.max()))
        lower_seen = np.pad(
            lower_seen[[pair.line for pair in leaders]], ((0, 0), (0, lower.slots - lower_seen.shape[1]))
        )
        lower_seen[np.arange(len(slots)), slots] = True
        width = int(ranks.max()) + 1
        visible = np.zeros((rows, width, int(used.max())), dtype=bool)
        visible[node_rows, ranks] = lower_seen[:, : int(used.max())]
        lower_layout = Layout(
            on_device(node_rows * lower.slots + slots, device),
            on_device(node_rows * width + ranks, device),
            on_device(visible, device),
        )
        for pair, node in zip(pending, node_of, strict=True):
            pair.line = int(node)
        positions = torch.tensor(
            [network.first_position + len(batch.prompts[pair.prompt].path) + len(pair.tokens) - 1 for pair in leaders],
            device=device,
        )
        hidden = network.embed(torch.tensor([pair.tokens[-1] for pair in leaders], device=device), positions)
        rotary = None if network.rotary is None else network.rotary(positions)
        for index in range(layer):
            hidden = through_layer(network.blocks[index], index, lower, lower_layout, hidden, rotary)

        present = sorted({pair.edit for pair in pending})
        acting = [edits[index] for index in present]
        owners = np.array([pair.edit for pair in pending])
        own_rows = [on_device(node_of[owners == index], device) for index in present]
        stacked = on_device(node_of, device)
        pair_rows = owners * rows + row_of[[pair.prompt for pair in pending]]
        pair_columns = column_of[[pair.prompt for pair in pending]]
        pair_slots = batch.width + step * across + pair_columns
        upper_seen[pair_rows, pair_columns, pair_slots] = True
        reached = batch.width + (step + 1) * across
        upper_layout = Layout(
            on_device(pair_rows * upper.slots + pair_slots, device),
            on_device(pair_rows * across + pair_columns, device),
            torch.from_numpy(upper_seen[:, :, :reached]).to(device),
        )
        pair_rotary = None if rotary is None else (rotary[0][stacked], rotary[1][stacked])
        block = network.blocks[layer]
        if in_mlp:
            residual, states = through_attention(block, layer, lower, lower_layout, hidden, rotary)
            hidden = edited_mlp(block, residual, states, acting, own_rows)
        else:
            hidden = edited_attention(block, layer, upper, upper_layout, hidden, pair_rotary, acting, own_rows)
        for index in range(layer + 1, len(network.blocks)):
            hidden = through_layer(network.blocks[index], index, upper, upper_layout, hidden, pair_rotary)
        for pair, token in zip(pending, next_tokens(network, hidden).tolist(), strict=True):
            pair.tokens.append(token)


def _distinct(pending: Sequence[Pair]) -> tuple[list[Pair], np.ndarray]:
    """Return the first pair of each distinct (prompt, tokens), and for every pair the index of its own among these."""
    index_of: dict[tuple[int, tuple[int, ...]], int] = {}
    leaders: list[Pair] = []
    node_of = np.zeros(len(pending), dtype=np.int64)
    for index, pair in enumerate(pending):
        node_of[index] = index_of.setdefault((pair.prompt, tuple(pair.tokens)), len(leaders))
        if node_of[index] == len(leaders):
            leaders.append(pair)
    return leaders, node_of


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Number the entries of each row from 0, in order."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    ranks = np.empty(len(rows), dtype=np.int64)
    ranks[order] = np.arange(len(rows)) - np.searchsorted(ordered, ordered, side="left")
    return ranks
