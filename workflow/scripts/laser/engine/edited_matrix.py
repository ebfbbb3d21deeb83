"""The edited matrix of a layer. Truncations are applied without forming the matrix.

With W = U·diag(s)·Vᵀ the rank-k matrix gives U_k (diag(s_k) V_kᵀ x). diag(s) Vᵀ x is computed once for the largest k of
all edits of that matrix. The truncations are nested: the output for a larger k is that for a smaller k plus the
components between them, so all rhos together cost little more than the largest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from laser.engine.blocks import Linear
from laser.reduction.edit import NEEDS_FACTORS, edited_weight
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention, kept_rank

FREE_SHARE = 0.25
"""Share of a GPU's memory that edited weights leave free for the batches."""


@dataclass(frozen=True)
class Factored:
    """The factors that all truncations of one matrix share, in fp32.

    Attributes:
        left: (m, c) columns of U.
        right: (c, n) rows of diag(s)·Vᵀ.
        start: index of the first component that is held.
    """

    left: Tensor
    right: Tensor
    start: int


@dataclass(frozen=True)
class Change:
    """One edit of one matrix: components first to last of the factors, or a dense weight.

    Attributes:
        matrix: logical name; None for an edit that changes nothing (the base model).
        factored, first, last: for truncations, the factors and the range of kept components within them.
        dense: (out, in) in the model's dtype, for the other kinds; on the device while it has room, else on the host.
        bias: (out,) or None; no edit touches it.
    """

    matrix: str | None = None
    factored: Factored | None = None
    first: int = 0
    last: int = 0
    dense: Tensor | None = None
    bias: Tensor | None = None


def changes(linears: dict[str, Linear], edits: Sequence[Intervention | None], store: FactorStore) -> list[Change]:
    """Prepare the edits of one layer; each matrix's factors are read once, and only the needed components are kept.

    Args:
        linears: the layer's logical matrices.
        edits: one intervention per edit, all of this layer; None for the base model.
        store: the store of the factors.
    """
    factors: dict[str, Factored] = {}
    for matrix in dict.fromkeys(edit.matrix for edit in edits if edit is not None and edit.kind in NEEDS_FACTORS):
        weight = linears[matrix].weight
        spans = [_span(edit, weight) for edit in edits if edit is not None and edit.matrix == matrix]
        start, stop = min(first for first, _ in spans), max(last for _, last in spans)
        whole = store.get(weight)
        right = whole.s[start:stop, None] * whole.vt[start:stop]
        factors[matrix] = Factored(whole.u[:, start:stop].contiguous(), right, start)
    made = []
    for edit in edits:
        if edit is None:
            made.append(Change())
            continue
        linear = linears[edit.matrix]
        if edit.kind in NEEDS_FACTORS:
            first, last = _span(edit, linear.weight)
            held = factors[edit.matrix]
            made.append(Change(edit.matrix, held, first - held.start, last - held.start, bias=linear.bias))
        else:
            dense = edited_weight(linear.weight, edit).to(linear.dtype)
            made.append(Change(edit.matrix, dense=_placed(dense), bias=linear.bias))
    return made


def _placed(dense: Tensor) -> Tensor:
    """Move an edited weight to the host if it would leave too small a share of the device's memory free."""
    if dense.is_cuda:
        free, total = torch.cuda.mem_get_info(dense.device)
        free += torch.cuda.memory_reserved(dense.device) - torch.cuda.memory_allocated(dense.device)
        if free < FREE_SHARE * total:
            return dense.cpu()
    return dense


def _span(edit: Intervention, weight: Tensor) -> tuple[int, int]:
    """Return the components [first, last) that an edit keeps."""
    kept, count = kept_rank(edit.rho, weight.shape), min(weight.shape)
    if edit.kind not in NEEDS_FACTORS:
        return 0, 0
    return (count - kept, count) if edit.kind == "smallest" else (0, kept)


def outputs(states: Tensor, wanted: Sequence[Change], rows: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Apply several edits of one matrix to states that they share.

    Args:
        states: (N, n), the input of the matrix.
        wanted: edits of that matrix.
        rows: per edit, the rows of `states` that it is applied to, int64; None for all rows.

    Returns:
        Per edit, the outputs (rows, m) in the dtype of `states`, bias included.
    """
    held = next((edit.factored for edit in wanted if edit.factored is not None), None)
    inputs = None if held is None else functional.linear(states.float(), held.right)  # diag(s)·Vᵀ·x: (N, c)
    results: list[Tensor] = [states] * len(wanted)
    total: Tensor | None = None
    reached = 0
    for index in sorted(range(len(wanted)), key=lambda index: (wanted[index].first, wanted[index].last, index)):
        edit = wanted[index]
        inputs_of_edit = states if rows is None else states[rows[index]]
        if edit.factored is None:
            assert edit.dense is not None
            results[index] = functional.linear(inputs_of_edit, edit.dense.to(states.device), edit.bias)
            continue
        assert inputs is not None
        if rows is None and edit.first == 0:
            part = functional.linear(inputs[:, reached : edit.last], edit.factored.left[:, reached : edit.last])
            total = part if total is None else total + part
            reached = edit.last
            product = total
        else:
            kept = inputs if rows is None else inputs[rows[index]]
            product = functional.linear(kept[:, edit.first : edit.last], edit.factored.left[:, edit.first : edit.last])
        product = product.to(states.dtype)
        results[index] = product if edit.bias is None else product + edit.bias
    return results


def stack(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the packed states of several edits."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
