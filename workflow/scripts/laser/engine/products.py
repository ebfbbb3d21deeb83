"""Products of fp32 accuracy on tensor cores: fp32 operands as sums of two fp16 ones, sums in fp32.

A row of states is scaled by a power of two (exact) so that its largest entry lies between 2¹⁴ and 2¹⁵, and written as
hi + lo / 2¹¹ with hi and lo in fp16: 22 bits, and nothing that matters lost below. A weight whose entries are exact in
fp16, as those of checkpoints that are distributed in fp16, is taken as it is: two fp16 products. Any other fp32 weight
is written as a sum of two likewise: three products, the one of both small parts being below fp32's accuracy. Products
of fp16 numbers are exact in fp32, in which tensor cores sum them. On a CPU the same operands are multiplied in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LOW = 2.0**-11
"""The value of one unit of the small part."""
LARGEST_EXPONENT = 15
"""Scaled rows stay below 2 to this power: fp16 ends at 65504, and the small part of such a row fits too."""
SMALLEST_EXPONENT = -100
"""Of a row's largest entry: below it a scale would leave the range of fp32."""


@dataclass(frozen=True)
class Halves:
    """A matrix (N, n) as (high + low·2⁻¹¹)·scale: high and low (N, n) fp16, scale (N, 1) fp32, powers of two."""

    high: Tensor
    low: Tensor
    scale: Tensor


def halves(matrix: Tensor) -> Halves:
    """Write the rows of an fp32 matrix (N, n) as sums of two fp16 numbers."""
    largest = torch.linalg.vector_norm(matrix, float("inf"), dim=1, keepdim=True)
    exponent = torch.frexp(largest).exponent.clamp(min=SMALLEST_EXPONENT) - LARGEST_EXPONENT
    scaled = matrix * _power_of_two(-exponent)
    high = scaled.half()
    low = scaled.sub_(high).mul_(1 / LOW).half()
    return Halves(high, low, _power_of_two(exponent))


def _power_of_two(exponent: Tensor) -> Tensor:
    """Return 2 to whole exponents (int32, from -126 to 127) in fp32, by its bits: a GPU's pow may round."""
    return (exponent + 127).bitwise_left_shift(23).view(torch.float32)


def exact_in_half(weight: Tensor) -> bool:
    """Return True if every entry of a weight is the same number in fp16."""
    return bool((weight.half().to(weight.dtype) == weight).all())


def split_linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return states·weightᵀ + bias in fp32.

    Args:
        states: (N, n) fp32.
        weight: (m, n), fp16, or fp32 and then split too.
        bias: (m,) or None.
    """
    left = halves(states)
    if weight.dtype == torch.float16:
        product = _multiplied(left.high, weight, _multiplied(left.low, weight))
    else:
        right = halves(weight)
        cross = _multiplied(left.high, right.low, _multiplied(left.low, right.high), 1.0)
        product = _multiplied(left.high, right.high, cross).mul_(right.scale.T)
    product.mul_(left.scale)
    return product if bias is None else product.add_(bias)


def _multiplied(left: Tensor, right: Tensor, low: Tensor | None = None, factor: float = LOW) -> Tensor:
    """Return left·rightᵀ + factor·low in fp32, from fp16 operands."""
    if left.is_cuda:
        product = torch.mm(left, right.T, out_dtype=torch.float32)
        return product if low is None else product.add_(low, alpha=factor)
    product = functional.linear(left.float(), right.float())
    return product if low is None else product.add_(low, alpha=factor)


def linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return states·weightᵀ + bias, whatever its leading dimensions; fp32 states with an fp16 weight are split."""
    if weight.dtype == states.dtype:
        return functional.linear(states, weight, bias)
    if torch.is_grad_enabled() and (states.requires_grad or weight.requires_grad):
        return functional.linear(states, weight.to(states.dtype), bias)
    flat = split_linear(states.reshape(-1, states.shape[-1]), weight, bias)
    return flat.view(*states.shape[:-1], -1)


class SplitLinear(nn.Linear):
    """A linear layer of an fp32 model whose weight is kept in fp16, exactly, and multiplied by `split_linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return what torch.nn.Linear returns, in fp32."""
        return linear(input, self.weight, self.bias)


def use_split_products(model: nn.Module) -> bool:
    """Let an fp32 model multiply by `split_linear`, if the weights of all its linear layers are exact in fp16.

    The model then needs half the memory for them. Returns True if it does.
    """
    linears = [module for module in model.modules() if type(module) is nn.Linear]
    weights = [module.weight for module in linears]
    if not weights or any(one.dtype != torch.float32 or not exact_in_half(one) for one in weights):
        return False
    for module in linears:
        module.weight = nn.Parameter(module.weight.detach().half(), requires_grad=False)
        module.__class__ = SplitLinear
    return True


def products_of(model: nn.Module, dtype: str) -> str:
    """Return how a model's products are made, for the run's facts: its dtype, or fp32-split."""
    return "fp32-split" if any(isinstance(module, SplitLinear) for module in model.modules()) else dtype
