"""Interventions on one weight matrix: the low-rank step of LASER and its controls.

Source: arXiv 2312.13558 section 4; the released code's editors (pruning, zero, randomised SVD), see docs/protocols.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from laser.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("svd", "randomised", "pruning", "zero", "smallest")


@dataclass(frozen=True)
class Intervention:
    """One edit of one weight matrix.

    Attributes:
        matrix: logical name: q, k, v, o, u_in, u_gate, u_out, or one of a model's `mapping`.
        layer: counted from 0.
        rho: ρ, the fraction of the maximum rank that is kept, in [0, 1]; the kept rank is ⌊ρ·min(m, n)⌋.
            For `pruning`, the fraction of entries that is kept; ignored for `zero`.
        kind: `svd` (exact truncated SVD), `randomised` (`torch.svd_lowrank`, q = kept rank, `niter`, `seed`),
            `pruning` (the smallest magnitudes set to 0), `zero`, `smallest` (keep only the ⌊ρ·d⌋ smallest components).
        niter, seed: only for `randomised`; the generator is seeded directly before the call.
    """

    matrix: str
    layer: int
    rho: float
    kind: str = "svd"
    niter: int = 2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Replacement(Intervention):
    """Another matrix in place of the model's, for edits that no kind of `KINDS` describes. Equal only to itself.

    Attributes:
        weight: (m, n), the matrix that replaces the model's.
    """

    rho: float = 1.0
    kind: str = "replacement"
    weight: Tensor = field(kw_only=True)

    # Not inherited: two replacements at one place may hold different matrices.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


Edit = tuple[Intervention, ...]
"""Interventions that are in the model together; empty for the base model."""


def kept_rank(rho: float, shape: Sequence[int]) -> int:
    """Return ⌊ρ·min(m, n)⌋, computed in decimal so that 0.29·100 is 29 (paper section 4).

    Raises:
        UserError: ρ is not in [0, 1].
    """
    if not 0 <= rho <= 1:
        raise UserError(f"the rho {rho} is not a fraction of the maximum rank: give a number from 0 to 1.")
    return math.floor(Decimal(repr(float(rho))) * min(shape))
