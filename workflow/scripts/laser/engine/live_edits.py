"""Putting edited matrices into a live model, and the originals back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from laser.errors import UserError
from laser.models.adapter import parameter_view
from laser.models.load import LoadedModel
from laser.reduction.edit import NEEDS_FACTORS, edited_weight
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention


@contextlib.contextmanager
def edited(loaded: LoadedModel, interventions: Sequence[Intervention], store: FactorStore) -> Iterator[None]:
    """Edit the live model's matrices for the duration of the block, then restore the exact original values.

    Raises:
        UserError: the same matrix is to be edited twice, or the architecture has no such matrix.
    """
    places = [(one.layer, one.matrix) for one in interventions]
    if len(set(places)) < len(places):
        raise UserError(f"an edit names the same matrix twice: {places}. Each matrix may be edited once.")
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        for one in interventions:
            view = parameter_view(loaded.model, loaded.config, one.layer, one.matrix, loaded.mapping)
            weight = view.float()
            factors = store.get(weight) if one.kind in NEEDS_FACTORS else None
            changed = edited_weight(weight, one, factors)
            kept.append((view, view.clone()))
            view.copy_(changed.to(view.dtype))
        yield
    finally:
        for view, original in reversed(kept):
            view.copy_(original)
