"""The parts of one transformer block, as the sweep engine runs them.

Hidden states are packed: (tokens, hidden), one row per token of any sequence; `laser.engine.attention` keeps sequences
apart. `laser.engine.families` makes blocks from a checkpoint's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from laser.engine import products
from laser.engine.screen import Screen

Rotary = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Linear:
    """A logical matrix of the model: weight (out, in), bias (out,) or None.

    `dtype` is that of the states and of an edited weight. It is fp32 even if the weight itself is kept in fp16 for
    exact products on tensor cores (`laser.engine.products`).
    """

    weight: Tensor
    bias: Tensor | None = None
    split: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The states' dtype."""
        return torch.float32 if self.split else self.weight.dtype

    def __call__(self, states: Tensor | products.Halves) -> Tensor:
        """Return (N, out) for states (N, in)."""
        return products.linear(states, self.weight, self.bias)


@dataclass(frozen=True)
class Block:
    """The operations of one layer.

    Attributes:
        linears: logical matrices that can be edited one by one, by name (q k v o u_in u_gate u_out).
        heads, key_heads: number of query heads, and of key and value heads (fewer under grouped-query attention).
        scale: factor of the attention scores.
        before_attention: maps hidden (N, H) to the input of q, k and v.
        qkv: maps that input to q, k, v if one weight packs them; None if `linears` has them.
        norms: norms of the queries and the keys (N, heads·size) before rotation, by q and k; empty if there are none.
        rotate: maps (states (N, heads, size), rotary) to rotated states; None without rotary positions.
        between: maps (hidden, attention output) to (residual, input of the MLP).
        activation: activation of the MLP; with a u_gate it acts on the gate.
        after: maps (residual, MLP output) to the next hidden states.
        reach: number of tokens that a query sees, its own included (a sliding window); None for all before it.
    """

    linears: Mapping[str, Linear]
    heads: int
    key_heads: int
    scale: float
    before_attention: Callable[[Tensor], Tensor]
    between: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    activation: Callable[[Tensor], Tensor]
    after: Callable[[Tensor, Tensor], Tensor]
    rotate: Callable[[Tensor, Rotary], Tensor] | None = None
    qkv: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] | None = None
    norms: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    reach: int | None = None

    def project(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q (N, heads·size), k and v (N, key_heads·size) before their norms and rotation."""
        if self.qkv is not None:
            return self.qkv(states)
        query, key, value = (self.linears[name] for name in "qkv")
        shared = products.prepared(states, query.weight, key.weight, value.weight)
        return query(shared), key(shared), value(shared)

    def turn(self, matrix: str, states: Tensor, rotary: Rotary | None) -> Tensor:
        """Normalise queries or keys (N, heads·size) and rotate them to their positions, if the architecture does so.

        Args:
            matrix: q or k.
            states: the matrix's output.
            rotary: cosines and sines of the states' positions.
        """
        if matrix in self.norms:
            states = self.norms[matrix](states)
        if self.rotate is None or rotary is None:
            return states
        size = self.linears["o"].weight.shape[1] // self.heads
        return self.rotate(states.view(len(states), -1, size), rotary).reshape(len(states), -1)

    @property
    def gated(self) -> bool:
        """True if the MLP has a gate."""
        return "u_gate" in self.linears

    def inner(self, states: Tensor) -> Tensor:
        """Return the MLP's inner activations (N, inner) for its input (N, H)."""
        if self.gated:
            gate, up = self.linears["u_gate"], self.linears["u_in"]
            shared = products.prepared(states, gate.weight, up.weight)
            return self.activation(gate(shared)).mul_(up(shared))
        return self.activation(self.linears["u_in"](states))

    def mlp(self, states: Tensor) -> Tensor:
        """Return the MLP's output (N, H) for its input (N, H)."""
        return self.linears["u_out"](self.inner(states))


@dataclass(frozen=True)
class Network:
    """A whole model as the engine sees it.

    Attributes:
        embed: maps (ids (N,), positions (N,)) to hidden states (N, H).
        rotary: maps positions (N,) to (cos, sin), or None; if layers differ, those of all kinds side by side.
        final: the final norm, which maps hidden states after the last layer (N, H) to the head's input.
        head: maps that to logits (N, vocabulary).
        causal: False for masked models, whose tokens see each other.
        first_position: the position id of a sequence's first token.
        unplaced: a token id that takes no position of its own (RoBERTa's padding token), or None.
        screen: what finds the largest logit faster than the head does, where there is such a way.
    """

    blocks: tuple[Block, ...]
    embed: Callable[[Tensor, Tensor], Tensor]
    final: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    vocabulary: int
    rotary: Callable[[Tensor], Rotary] | None = None
    causal: bool = True
    first_position: int = 0
    unplaced: int | None = None
    screen: Screen | None = None
