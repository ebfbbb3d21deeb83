"""Attention over packed tokens: linear layers see one row per token, attention sees rows of slots.

A row is a prefix tree (or a padded sequence); each of its tokens has a slot for its key and value. A layout says, for
the tokens of one pass, which slots they fill and which slots each of them sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from laser.engine.blocks import Block, Rotary


@dataclass
class Cache:
    """Keys and values of some layers: per layer two tensors (rows, slots, key_heads·size).

    With `separate`, states that are not finite reach only the queries that see them. This costs time and changes
    nothing if all states are finite.
    """

    rows: int
    slots: int
    separate: bool = False
    states: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def of(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's keys and values; new ones are zeros, so that empty slots are finite under the mask."""
        if layer not in self.states:
            shape = (self.rows, self.slots, like.shape[1])
            self.states[layer] = (like.new_zeros(shape), like.new_zeros(shape))
        return self.states[layer]

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots per row."""
        if slots <= self.slots:
            return
        for layer, pair in self.states.items():
            room = pair[0].new_zeros(self.rows, slots - self.slots, pair[0].shape[2])
            self.states[layer] = (torch.cat((pair[0], room), dim=1), torch.cat((pair[1], room), dim=1))
        self.slots = slots


@dataclass
class Layout:
    """The slots and positions of the tokens of one pass.

    Attributes:
        slots: (N,) int64, row·capacity + slot of every token; the capacity is that of the cache.
        places: (N_q,) int64, row·width + column of every token that asks (has a query).
        visible: (rows, width, used) bool, the slots that the query in a column sees.
        asking: (N_q,) int64 indices of the tokens that ask, or None for all.
    """

    slots: Tensor
    places: Tensor
    visible: Tensor
    asking: Tensor | None = None
    _folded: dict[tuple[int, int | None], Tensor] = field(default_factory=dict)

    def mask(self, share: int, dtype: torch.dtype, reach: int | None = None) -> Tensor:
        """Return the mask that is added to the scores, for `share` query heads folded into the queries.

        The mask (rows, 1, share·width, used) is 0 where a slot is seen and minus infinity elsewhere. With `reach`, a
        query sees only the last `reach` tokens. Each mask is made once per layout.
        """
        if (share, reach) not in self._folded:
            visible = self.visible if reach is None else self._last(reach)
            unseen = visible.new_zeros(visible.shape, dtype=dtype).masked_fill_(~visible, float("-inf"))
            self._folded[share, reach] = unseen[:, None].repeat(1, 1, share, 1)
        return self._folded[share, reach]

    def _last(self, reach: int) -> Tensor:
        """Return the slots (rows, width, used) that are seen through a sliding window of `reach` tokens.

        The slots that a query sees hold its sequence in order, even if slots of other sequences lie between them:
        parents come before their children, and decoded tokens take later slots.
        """
        from_here = self.visible.flip(-1).cumsum(-1).flip(-1)
        return self.visible & (from_here <= reach)

    def asked(self, states: Tensor) -> Tensor:
        """Return the rows of `states` (N, …) whose tokens ask."""
        return states if self.asking is None else states[self.asking]


def store(cache: Cache, layer: int, layout: Layout, key: Tensor, value: Tensor) -> None:
    """Put keys and values (N, key_heads·size) into their slots."""
    for kept, new in zip(cache.of(layer, key), (key, value), strict=True):
        kept.view(-1, new.shape[1]).index_copy_(0, layout.slots, new)


def attend(block: Block, layer: int, cache: Cache, layout: Layout, query: Tensor) -> Tensor:
    """Return the attention's output (N_q, heads·size) for the queries of that shape, before the output projection."""
    rows, width, used = layout.visible.shape
    share = block.heads // block.key_heads
    size = query.shape[1] // block.heads
    # Columns without a query hold uninitialised memory; their results are never used.
    padded = query.new_empty(rows * width, query.shape[1]).index_copy_(0, layout.places, query)
    folded = (
        padded.view(rows, width, block.key_heads, share, size)
        .permute(0, 2, 3, 1, 4)
        .reshape(rows, block.key_heads, share * width, size)
    )
    keys, values = (
        states[:, :used].unflatten(2, (block.key_heads, size)).transpose(1, 2) for states in cache.of(layer, query)
    )
    mask = layout.mask(share, query.dtype, block.reach)
    kernel = separate_attention if cache.separate else functional.scaled_dot_product_attention
    read = kernel(folded, keys, values, mask, scale=block.scale)
    unfolded = read.view(rows, block.key_heads, share, width, size).permute(0, 3, 1, 2, 4)
    return unfolded.reshape(rows * width, -1)[layout.places]


def separate_attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, *, scale: float) -> Tensor:
    """Return scaled dot-product attention in which hidden states have no effect, even if they are not finite.

    The usual kernel adds minus infinity to a hidden score and weights a hidden value by 0; both give NaN if the hidden
    state is not finite.

    Args:
        query: (rows, heads, queries, size).
        keys: (rows, heads, slots, size).
        values: (rows, heads, slots, size).
        mask: (rows, 1, queries, slots), 0 where a slot is seen, minus infinity elsewhere.
        scale: factor of the scores.
    """
    seen = (mask == 0).expand(-1, keys.shape[1], -1, -1)
    scores = (query.float() @ keys.float().transpose(-1, -2)) * scale
    weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1)
    read = weights @ torch.nan_to_num(values.float(), 0.0, 0.0, 0.0)

    def meets(slots: Tensor, states: Tensor) -> Tensor:
        return slots.float() @ states.float() > 0

    above, below = (meets(weights > 0, values == bound) for bound in (float("inf"), float("-inf")))
    undefined = meets(seen, values.isnan()) | meets(seen & (weights == 0), values.isinf()) | (above & below)
    read = read.masked_fill(above, float("inf")).masked_fill(below, float("-inf"))
    return read.masked_fill(undefined, float("nan")).to(query.dtype)


def through_attention(
    block: Block, layer: int, cache: Cache, layout: Layout, hidden: Tensor, rotary: Rotary | None
) -> tuple[Tensor, Tensor]:
    """Run a layer's attention and return (residual, MLP input), both (N_q, H), for the tokens that ask."""
    states = block.before_attention(hidden)
    if layout.asking is None:
        query, key, value = block.project(states)
    else:
        query, key, value = _project_some(block, states, layout)
    query = block.turn("q", query, asked_rotary(layout, rotary))
    store(cache, layer, layout, block.turn("k", key, rotary), value)
    output = block.linears["o"](attend(block, layer, cache, layout, query))
    return block.between(layout.asked(hidden), output)


def _project_some(block: Block, states: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    if block.qkv is not None:
        query, key, value = block.qkv(states)
        return layout.asked(query), key, value
    linears = block.linears
    return linears["q"](layout.asked(states)), linears["k"](states), linears["v"](states)


def asked_rotary(layout: Layout, rotary: Rotary | None) -> Rotary | None:
    """Return the rotary positions of the tokens that ask."""
    return None if rotary is None else (layout.asked(rotary[0]), layout.asked(rotary[1]))


def through_layer(
    block: Block, layer: int, cache: Cache, layout: Layout, hidden: Tensor, rotary: Rotary | None
) -> Tensor:
    """Run a whole unedited layer, from hidden states (N, H) to those of the tokens that ask (N_q, H)."""
    residual, states = through_attention(block, layer, cache, layout, hidden, rotary)
    return block.after(residual, block.mlp(states))
