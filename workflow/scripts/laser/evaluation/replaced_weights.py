"""Weights of a cell's model, and other values in their place for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

from laser.engine.live_edits import edited
from laser.evaluation.cell import Cell
from laser.models.adapter import parameter_view
from laser.reduction.interventions import Intervention


def matrix_view(cell: Cell, matrix: str, layer: int) -> torch.Tensor:
    """Return a logical matrix (out, in) of a cell's model as a view: writing into it edits the model."""
    loaded = cell.loaded
    return parameter_view(loaded.model, loaded.config, layer, matrix, loaded.mapping)


@contextlib.contextmanager
def replaced(cell: Cell, layer: int, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Put other values into matrices of a layer for the duration of the block, then restore the exact original ones.

    Args:
        cell: an open cell.
        layer: counts from 0.
        weights: logical name of a matrix to what stands in its place (out, in), in any dtype.
    """
    zeroed = [Intervention(name, layer, 0.0, "zero") for name in weights]
    with edited(cell.loaded, zeroed, cell.store):
        for name, weight in weights.items():
            # Zeroed, the matrix is in the dtype in which an edit is computed.
            view = matrix_view(cell, name, layer)
            view.copy_(weight.to(view.dtype))
        yield
