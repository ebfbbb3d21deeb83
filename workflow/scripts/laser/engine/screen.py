"""The most probable token from rough logits: bf16 products leave a few tokens, which are scored again in fp32.

Greedy decoding needs the largest logit of each state and nothing else. A product of bf16 operands that is summed in
fp32 has a known largest error, so every token that could have the largest logit is known too; on average about six
of 49,152 (`benchmarks/screen.py`). Processors with bf16 instructions make the rough product two to three times faster.

The bound: rounding both operands changes a product of a state x and a row w by at most (2u + u²)·|x|·|w| with
u = 2⁻⁸ (Cauchy and Schwarz), rounding the bias by u·|b| and rounding the result by u of its size; sums of n fp32 terms,
here and in the exact product, add at most n·2⁻²³·|x|·|w| each. Rows are sorted by norm, so that one bound serves a
whole tile of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from laser.io.machine import processor_fact

TILE = 64
"""Rows that share a bound."""
LEAST = 1 << 22
"""Entries of a head from which the rough product pays."""
MOST = 64
"""Tiles, and tokens, of one state that may be looked at more closely; a state with more of them is left to the head."""
UNIT = 2.0**-8
"""Largest relative error of rounding to bf16."""
SUM = 2.0**-23
"""Largest relative error per term of a sum in fp32, with one spare bit for instructions that round pairs of terms."""
SPARE = 1.01
"""Factor on every error, for the rounding of the bounds themselves."""
TINY = 1e-30
"""Added to every error: bf16 instructions take the smallest numbers for 0."""
UNSCREENED = -1
"""Stands for the token of a row that the screen cannot judge."""
INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}
"""Names, in /proc/cpuinfo, of instructions that multiply bf16 and add fp32."""


@dataclass(frozen=True)
class Screen:
    """A head (vocabulary, n) for rough logits, its rows sorted by norm and padded to whole tiles.

    Attributes:
        head: the head itself, fp32.
        tokens: (rows,) the token of each row; the padding repeats the last one.
        rough, rough_bias: (rows, n) and (rows,) bf16; no bias is None.
        norms, biases: (tiles,) fp32, the largest norm and the largest absolute bias of each tile.
    """

    head: nn.Linear
    tokens: Tensor
    rough: Tensor
    rough_bias: Tensor | None
    norms: Tensor
    biases: Tensor


@cache
def has_bf16_products() -> bool:
    """Return True if this machine's processor has instructions for bf16 products."""
    return bool(INSTRUCTIONS & set(processor_fact("flags").split())) and torch.backends.mkldnn.is_available()


def screen_for(head: object) -> Screen | None:
    """Return the screen of a head if it is faster here: a large fp32 matrix on a CPU with bf16 products."""
    if not isinstance(head, nn.Linear) or head.weight.dtype != torch.float32 or head.weight.device.type != "cpu":
        return None
    return screen_of(head) if head.weight.numel() >= LEAST and has_bf16_products() else None


@torch.inference_mode()
def screen_of(head: nn.Linear) -> Screen:
    """Return the screen of a head (vocabulary, n) in fp32; it takes half of the head's memory."""
    norms, tokens = torch.linalg.vector_norm(head.weight, dim=1).sort()
    rows = torch.arange(-(-len(tokens) // TILE) * TILE).clamp_(max=len(tokens) - 1)
    tokens, norms = tokens[rows], norms[rows].view(-1, TILE)
    bias = None if head.bias is None else head.bias[tokens]
    biases = torch.zeros(len(norms)) if bias is None else bias.abs().view(-1, TILE).amax(dim=1)
    rough_bias = None if bias is None else bias.bfloat16()
    return Screen(head, tokens, head.weight.bfloat16()[tokens], rough_bias, norms.amax(dim=1), biases)


@torch.inference_mode()
def candidates(screen: Screen, states: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row of states, token) of every token that could have the row's largest logit.

    A row that is not finite, or whose logits are not, has none, and neither has one with too many. Padding can name a
    token twice.

    Args:
        screen: the screen of the head.
        states: (N, n) fp32, inputs of the head.
    """
    rough = functional.linear(states.bfloat16(), screen.rough, screen.rough_bias).view(len(states), -1, TILE)
    error = SPARE * (2 * UNIT + UNIT**2 + 2 * states.shape[1] * SUM)
    slack = error * torch.linalg.vector_norm(states, dim=1)[:, None] * screen.norms
    slack += SPARE * UNIT * screen.biases + TINY
    highest = rough.amax(dim=2).float()
    certain = (highest - slack - SPARE * UNIT * highest.abs()).amax(dim=1)
    possible = highest + slack + SPARE * UNIT * highest.abs() >= certain[:, None]
    possible &= possible.sum(dim=1, keepdim=True) <= MOST
    rows, tiles = possible.nonzero(as_tuple=True)
    inside = rough[rows, tiles].float()
    likely = inside + slack[rows, tiles, None] + SPARE * UNIT * inside.abs() >= certain[rows, None]
    hits, columns = likely.nonzero(as_tuple=True)
    rows, tokens = rows[hits], screen.tokens[tiles[hits] * TILE + columns]
    few = torch.bincount(rows, minlength=len(states))[rows] <= MOST
    return rows[few], tokens[few]


@torch.inference_mode()
def most_probable(screen: Screen, states: Tensor) -> Tensor:
    """Return the token with the largest logit (the first of equals) for each of the states (N, n), int64.

    It is `UNSCREENED` for rows without candidates, whose logits have to be computed whole.
    """
    rows, tokens = candidates(screen, states)
    logits = (screen.head.weight[tokens] * states[rows]).sum(dim=1)
    if screen.head.bias is not None:
        logits += screen.head.bias[tokens]
    largest = torch.full((len(states),), float("-inf")).scatter_reduce_(0, rows, logits, "amax")
    best = logits == largest[rows]
    none = len(screen.tokens)
    first = torch.full((len(states),), none).scatter_reduce_(0, rows[best], tokens[best], "amin")
    return first.masked_fill(first == none, UNSCREENED)
