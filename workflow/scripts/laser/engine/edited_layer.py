"""A layer under several edits at once: what the edits share is computed once, then their states are stacked.

`rows` gives, per edit, the shared states that it continues from: all of them for prompts, the tokens of its own
continuation for decoding. Stacked states are ordered by edit, then by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from laser.engine.attention import Cache, Layout, asked_rotary, attend, store
from laser.engine.blocks import Block, Rotary
from laser.engine.edited_matrix import Change, outputs, stack

ATTENTION = ("q", "k", "v", "o")


def _rows_of(shared: Tensor, rows: Sequence[Tensor] | None, index: int) -> Tensor:
    return shared if rows is None else shared[rows[index]]


def _edited_outputs(
    states: Tensor, matrix: str, edits: Sequence[Change], rows: Sequence[Tensor] | None
) -> dict[int, Tensor]:
    """Return the outputs of one matrix under the edits that change it, by the edit's index."""
    which = [index for index, edit in enumerate(edits) if edit.matrix == matrix]
    if not which:
        return {}
    edit_rows = None if rows is None else [rows[index] for index in which]
    return dict(zip(which, outputs(states, [edits[index] for index in which], edit_rows), strict=True))


def edited_mlp(
    block: Block, residual: Tensor, states: Tensor, edits: Sequence[Change], rows: Sequence[Tensor] | None = None
) -> Tensor:
    """Run the MLP half of a layer under each edit.

    Args:
        block: the layer.
        residual: (N, H), the residual stream after the layer's attention, shared by the edits.
        states: (N, H), the MLP's input, shared too.
        edits: edits of this layer's MLP, or edits that change nothing.
        rows: per edit, the rows of the shared states; None for all.

    Returns:
        Hidden states after the layer, stacked.
    """
    linears = block.linears
    first = "u_gate" if block.gated else "u_in"
    touched = {edit.matrix for edit in edits}
    whole = touched & {None, "u_out"}
    acted = block.activation(linears[first](states)) if whole or touched - {first} else None
    beside = linears["u_in"](states) if block.gated and touched != {"u_in"} else None
    inner = None
    if whole:
        assert acted is not None
        inner = acted if beside is None else acted * beside
    made = {matrix: _edited_outputs(states, matrix, edits, rows) for matrix in dict.fromkeys((first, "u_in"))}
    last = {} if inner is None else _edited_outputs(inner, "u_out", edits, rows)
    pieces: list[Tensor] = []
    pending: list[Tensor] = []
    for index, edit in enumerate(edits):
        if index in last:
            pieces += _flush(linears["u_out"], pending)
            pieces.append(last[index])
            continue
        if edit.matrix is None:
            assert inner is not None
            pending.append(_rows_of(inner, rows, index))
        elif edit.matrix == first:
            gated = block.activation(made[first][index])
            pending.append(gated if beside is None else gated.mul_(_rows_of(beside, rows, index)))
        else:
            assert acted is not None
            pending.append(_rows_of(acted, rows, index) * made["u_in"][index])
    pieces += _flush(linears["u_out"], pending)
    residuals = stack([_rows_of(residual, rows, index) for index in range(len(edits))])
    return block.after(residuals, stack(pieces))


def _flush(linear, pending: list[Tensor]) -> list[Tensor]:  # type: ignore[no-untyped-def]
    if not pending:
        return []
    result = linear(stack(pending))
    pending.clear()
    return [result]


def edited_attention(
    block: Block,
    layer: int,
    cache: Cache,
    layout: Layout,
    hidden: Tensor,
    rotary: Rotary | None,
    edits: Sequence[Change],
    rows: Sequence[Tensor] | None = None,
) -> Tensor:
    """Run a whole layer under each edit of its attention.

    Args:
        block: the layer.
        layer: its index.
        cache: keys and values of the stacked tokens: each edit has rows of its own.
        layout: layout of the stacked tokens.
        hidden: (N, H) input of the layer, shared by the edits.
        rotary: rotary positions of the stacked tokens.
        edits: edits of this layer's attention, or edits that change nothing.
        rows: per edit, the rows of the shared states; None for all.

    Returns:
        Hidden states after the layer, stacked, for the tokens that ask.
    """
    states = block.before_attention(hidden)
    base = dict(zip("qkv", block.project(states), strict=True))
    stacked = {}
    for matrix in "qkv":
        made = _edited_outputs(states, matrix, edits, rows)
        stacked[matrix] = stack(
            [made[index] if index in made else _rows_of(base[matrix], rows, index) for index in range(len(edits))]
        )
    store(cache, layer, layout, block.turn("k", stacked["k"], rotary), stacked["v"])
    query = block.turn("q", layout.asked(stacked["q"]), asked_rotary(layout, rotary))
    read = attend(block, layer, cache, layout, query)
    output = block.linears["o"](read)
    counts = [len(hidden)] * len(edits) if rows is None else [len(edit_rows) for edit_rows in rows]
    owner = torch.repeat_interleave(torch.arange(len(edits)), torch.tensor(counts)).to(hidden.device)
    owner = layout.asked(owner)
    for index, edit in enumerate(edits):
        if edit.matrix == "o":
            edit_rows = owner == index
            (output[edit_rows],) = outputs(read[edit_rows], [edit])
    entry = stack([_rows_of(hidden, rows, index) for index in range(len(edits))])
    residual, states = block.between(layout.asked(entry), output)
    return block.after(residual, block.mlp(states))
