"""Averages over validation rows: what selection and the figures rest on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

TOP = (1, 5, 10)


@dataclass(frozen=True)
class Average:
    """Scores of one intervention (or of base) over validation rows.

    Attributes:
        matrix, layer, rho: the intervention; empty, -1 and 1 for base.
        n: rows.
        accuracy: percent.
        loss: nats; infinite where a row has none.
        first_top: percent of rows whose answer's first token is among the 1, 5 and 10 most probable.
    """

    matrix: str
    layer: int
    rho: float
    n: int
    accuracy: float
    loss: float
    first_top: tuple[float, ...]


def average(matrix: str, layer: int, rho: float, part: pd.DataFrame) -> Average:
    """Return the averages of one part of a result file."""
    losses = part["loss"].tolist()
    infinite = any(not math.isfinite(value) for value in losses)
    ranks = part["answer_rank"].tolist()
    n = len(losses)
    return Average(
        matrix,
        layer,
        rho,
        n,
        100 * sum(part["correct"].tolist()) / n,
        math.inf if infinite else math.fsum(losses) / n,
        tuple(100 * sum(1 for value in ranks if value <= k) / n for k in TOP),
    )
