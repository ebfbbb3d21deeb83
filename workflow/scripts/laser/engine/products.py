"""Products of fp32 accuracy on tensor cores: fp32 operands are sums of two fp16 parts, and products are summed in fp32.

A row of states is scaled by a power of two (exact) so that its largest entry lies between 2¹⁴ and 2¹⁵. It is then
written as high + low / 2¹¹ with both in fp16: 22 bits, and nothing significant is lost below. A weight whose entries
are exact in fp16, as in checkpoints distributed in fp16, is used as it is, which takes two fp16 products. Any other
fp32 weight is split in the same way, which takes three products: that of both small parts is below fp32's accuracy.

Products of fp16 numbers are exact in fp32, but tensor cores truncate their running sums instead of rounding them, so
the error grows with the number of terms (measured, docs/gpu.md). The sum over the high parts is therefore taken in
pieces of `TERMS` terms, which are added in rounded fp32. On a CPU the same operands are multiplied in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

LOW = 2.0**-11
"""Value of one unit of the small part."""
LARGEST_EXPONENT = 14
"""Largest exponent of a scaled row, which stays below 2¹⁵: fp16 ends at 65504, and the small part fits too."""
SMALLEST_EXPONENT = -101
"""Smallest exponent of a row's largest entry: below it, a scale would leave the range of fp32."""
BIAS, MANTISSA_BITS = 127, 23
"""Format of fp32: the bits of a positive number above its mantissa are its exponent plus the bias."""
TERMS = 1024
"""Number of terms that the tensor cores add up in one sum."""


@dataclass(frozen=True)
class Halves:
    """A matrix (N, n) as (high + low·2⁻¹¹)·scale: high and low (N, n) fp16, scale (N, 1) fp32, powers of two."""

    high: Tensor
    low: Tensor
    scale: Tensor


def halves(matrix: Tensor) -> Halves:
    """Write the rows of an fp32 matrix (N, n) as sums of two fp16 numbers."""
    fused = fused_halves() if matrix.is_cuda else None
    return plain_halves(matrix) if fused is None else fused(matrix)


def plain_halves(matrix: Tensor) -> Halves:
    """Return what `halves` returns, computed with torch's own operations."""
    largest = torch.linalg.vector_norm(matrix, float("inf"), dim=1, keepdim=True)
    exponent = largest.view(torch.int32).bitwise_right_shift(MANTISSA_BITS).clamp_(min=BIAS + SMALLEST_EXPONENT)
    scaled = matrix * _from_exponent(2 * BIAS + LARGEST_EXPONENT - exponent)
    high = scaled.half()
    low = scaled.sub_(high).mul_(1 / LOW).half()
    return Halves(high, low, _from_exponent(exponent - LARGEST_EXPONENT))


def _from_exponent(exponent: Tensor) -> Tensor:
    """Return the powers of two with these (biased) exponents, made from their bits because a GPU's pow may round."""
    return exponent.bitwise_left_shift(MANTISSA_BITS).view(torch.float32)


@cache
def fused_halves() -> Callable[[Tensor], Halves] | None:
    """Return `halves` as one kernel, or None if Triton does not work or gives other numbers."""
    try:
        from laser.engine.halves_kernel import halves_by_kernel

        sample = torch.randn(5, 300, generator=torch.Generator().manual_seed(0)).to("cuda")
        sample *= torch.tensor([[1.0], [1e-30], [1e30], [0.0], [1e-5]], device="cuda")
        expected, fused = plain_halves(sample), halves_by_kernel(sample)
    except Exception:  # a compiler on an unknown machine may raise anything, and `plain_halves` works everywhere
        return None
    same = all(torch.equal(getattr(expected, name), getattr(fused, name)) for name in ("high", "low", "scale"))
    return halves_by_kernel if same else None


def exact_in_half(weight: Tensor) -> bool:
    """Return True if every entry of a weight is the same number in fp16."""
    return bool((weight.half().to(weight.dtype) == weight).all())


def split_linear(states: Tensor | Halves, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return states·weightᵀ + bias in fp32.

    Args:
        states: (N, n) fp32, or already split.
        weight: (m, n), fp16, or fp32, which is split too.
        bias: (m,) or None.
    """
    left = states if isinstance(states, Halves) else halves(states)
    if weight.dtype == torch.float16:
        product = _summed(left.high, weight, _multiplied(left.low, weight).mul_(LOW))
    else:
        right = halves(weight)
        small = _multiplied(left.low, right.high).add_(_multiplied(left.high, right.low)).mul_(LOW)
        product = _summed(left.high, right.high, small).mul_(right.scale.T)
    product.mul_(left.scale)
    return product if bias is None else product.add_(bias)


def _multiplied(left: Tensor, right: Tensor) -> Tensor:
    """Return left·rightᵀ in fp32, from fp16 operands."""
    if left.is_cuda:
        return torch.mm(left, right.T, out_dtype=torch.float32)
    return functional.linear(left.float(), right.float())


def _summed(left: Tensor, right: Tensor, total: Tensor) -> Tensor:
    """Return `total` + left·rightᵀ, added `TERMS` terms at a time; `total` may change in place."""
    for start in range(0, left.shape[1], TERMS):
        some = slice(start, start + TERMS)
        if left.is_cuda and fused_sum():
            total = torch.addmm(total, left[:, some], right[:, some].T, out_dtype=torch.float32)
        else:
            total.add_(_multiplied(left[:, some], right[:, some]))
    return total


@cache
def fused_sum() -> bool:
    """Return True if this build of torch adds an fp16 product to an fp32 matrix in one operation."""
    try:
        ones = torch.ones(16, 16, dtype=torch.float16, device="cuda")
        product = torch.addmm(torch.full((16, 16), 2.0**-20, device="cuda"), ones, ones.T, out_dtype=torch.float32)
    except (RuntimeError, TypeError):
        return False
    return bool((product == 16 + 2.0**-20).all())


def linear(states: Tensor | Halves, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return states·weightᵀ + bias, whatever its leading dimensions; fp32 states with an fp16 weight are split."""
    if isinstance(states, Halves):
        return split_linear(states, weight, bias)
    if weight.dtype == states.dtype:
        return functional.linear(states, weight, bias)
    if torch.is_grad_enabled() and (states.requires_grad or weight.requires_grad):
        return functional.linear(states, weight.to(states.dtype), bias)
    flat = split_linear(states.reshape(-1, states.shape[-1]), weight, bias)
    return flat.view(*states.shape[:-1], -1)


def prepared(states: Tensor, *weights: Tensor) -> Tensor | Halves:
    """Return states (N, n) in the form that the weights take: split once if all weights are fp16."""
    split = states.dtype == torch.float32 and all(weight.dtype == torch.float16 for weight in weights)
    return halves(states) if split else states


class SplitLinear(nn.Linear):
    """A linear layer of an fp32 model whose weight is kept in fp16, exactly, and multiplied by `split_linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return what torch.nn.Linear returns, in fp32."""
        return linear(input, self.weight, self.bias)


def use_split_products(model: nn.Module) -> bool:
    """Make an fp32 model multiply with `split_linear`, if the weights of all its linear layers are exact in fp16.

    The model then needs half the memory for them. Return True if it was changed.
    """
    linears = [module for module in model.modules() if type(module) is nn.Linear]
    weights = [module.weight for module in linears]
    if not weights or any(weight.dtype != torch.float32 or not exact_in_half(weight) for weight in weights):
        return False
    for module in linears:
        module.weight = nn.Parameter(module.weight.detach().half(), requires_grad=False)
        module.__class__ = SplitLinear
    return True


def products_of(model: nn.Module, dtype: str) -> str:
    """Return how a model's products are computed, for the run's facts: its dtype, or fp32-split."""
    return "fp32-split" if any(isinstance(module, SplitLinear) for module in model.modules()) else dtype
