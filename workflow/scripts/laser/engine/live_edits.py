"""Edited matrices in a loaded model, and the restoration of the originals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.nn import Parameter

from laser.engine.products import SplitLinear
from laser.errors import UserError
from laser.models.adapter import live_name, locate, parameter_view
from laser.models.load import LoadedModel
from laser.reduction.edit import NEEDS_FACTORS, edited_weight
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention


@contextlib.contextmanager
def edited(loaded: LoadedModel, interventions: Sequence[Intervention], store: FactorStore) -> Iterator[None]:
    """Edit the loaded model's matrices for the duration of the block, then restore the exact original values.

    Raises:
        UserError: the interventions name a matrix twice, or the architecture has no such matrix.
    """
    matrices = [(edit.layer, edit.matrix) for edit in interventions]
    if len(set(matrices)) < len(matrices):
        raise UserError(f"an edit names the same matrix twice: {matrices}. Each matrix may be edited once.")
    restore: list[Callable[[], object]] = []
    try:
        for intervention in interventions:
            whole = _whole(loaded, intervention)
            if whole is not None:
                restore.append(partial(setattr, whole, "weight", whole.weight))
                whole.weight = Parameter(whole.weight.float(), requires_grad=False)
            view = parameter_view(loaded.model, loaded.config, intervention.layer, intervention.matrix, loaded.mapping)
            weight = view.float()
            factors = store.get(weight) if intervention.kind in NEEDS_FACTORS else None
            changed = edited_weight(weight, intervention, factors)
            if whole is None:
                restore.append(partial(view.copy_, view.clone()))
            view.copy_(changed.to(view.dtype))
        yield
    finally:
        for undo in reversed(restore):
            undo()


def _whole(loaded: LoadedModel, intervention: Intervention) -> SplitLinear | None:
    """Return the linear module of an edit's matrix if its weight is in fp16, because the edited weight needs fp32."""
    parameter = locate(loaded.config, intervention.layer, intervention.matrix, loaded.mapping).parameter
    owner = loaded.model.get_submodule(live_name(loaded.model, parameter).rpartition(".")[0])
    return owner if isinstance(owner, SplitLinear) and owner.weight.dtype == torch.float16 else None
