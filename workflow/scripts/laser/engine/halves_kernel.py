"""A CUDA kernel that splits the rows of a matrix into two fp16 parts in one pass, with the Triton that torch installs.

It gives the same numbers as `laser.engine.products.plain_halves`, which needs ten passes.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from laser.engine.products import BIAS, LARGEST_EXPONENT, LOW, MANTISSA_BITS, SMALLEST_EXPONENT, Halves, plain_halves

LONGEST_ROW = 32768
"""Largest number of columns that one program can hold in its registers."""


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    matrix, high, low, scale, columns,
    smallest: tl.constexpr, upwards: tl.constexpr, downwards: tl.constexpr, bits: tl.constexpr, unit: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    places = tl.arange(0, block)
    inside = places < columns
    values = tl.load(matrix + row * columns + places, mask=inside, other=0.0)
    largest = tl.max(tl.abs(values), axis=0)
    exponent = tl.maximum(largest.to(tl.int32, bitcast=True) >> bits, smallest)
    scaled = values * ((upwards - exponent) << bits).to(tl.float32, bitcast=True)
    upper = scaled.to(tl.float16)
    tl.store(high + row * columns + places, upper, mask=inside)
    tl.store(low + row * columns + places, ((scaled - upper.to(tl.float32)) * unit).to(tl.float16), mask=inside)
    tl.store(scale + row, ((exponent - downwards) << bits).to(tl.float32, bitcast=True))


def halves_by_kernel(matrix: Tensor) -> Halves:
    """Return what `laser.engine.products.halves` returns."""
    rows, columns = matrix.shape
    if columns > LONGEST_ROW or not rows:
        return plain_halves(matrix)
    matrix = matrix.contiguous()
    high, low = (torch.empty_like(matrix, dtype=torch.float16) for _ in range(2))
    scale = matrix.new_empty(rows, 1)
    block = triton.next_power_of_2(columns)
    grid: Any = (rows,)
    _kernel[grid](
        matrix, high, low, scale, columns,
        BIAS + SMALLEST_EXPONENT, 2 * BIAS + LARGEST_EXPONENT, LARGEST_EXPONENT, MANTISSA_BITS, int(1 / LOW), block,
        num_warps=16 if block > 4096 else 4,
    )  # fmt: skip
    return Halves(high, low, scale)
