"""Findings: what one comparison says about a claim, and the ways in which numbers become such a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from laser.analysis.tables import intervention
from laser.config.protocols import SIGNIFICANCE

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"

Row = Any
"""A row of a frame: a mapping or a series."""

Artefacts = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Effect:
    """What a comparison measured, so that models can be averaged.

    Attributes:
        value: the estimate.
        low: lower bound of its 95 % interval.
        high: upper bound.
        unit: unit of the value, as written.
        places: number of decimals written.
        rises: True if a large value supports the claim, False if a small one does.
        supports: limit that the interval has to lie beyond to support the claim.
        contradicts: limit that it has to lie beyond, on the other side, to contradict the claim; None for 0, in which
            case `least` applies on that side too.
        least: smallest size of a value that matters.
    """

    value: float
    low: float
    high: float
    unit: str
    places: int = 1
    rises: bool = True
    supports: float = 0.0
    contradicts: float | None = None
    least: float = 0.0


def effect(row: Row, value: str, unit: str, **rule: Any) -> Effect:
    """Return the effect that a row holds as `value`, with its bounds as `<value>_low` and `<value>_high`."""
    return Effect(float(row[value]), float(row[f"{value}_low"]), float(row[f"{value}_high"]), unit, **rule)


@dataclass(frozen=True)
class Comparison:
    """One comparison: what was compared, the numbers, the verdict on the claim, and the effect if there is one."""

    where: str
    evidence: str
    verdict: str
    effect: Effect | None = None

    @property
    def subject(self) -> str:
        """The model that was compared; for a comparison over several models, what they were compared on."""
        return self.where.partition(" on ")[0]

    @property
    def dataset(self) -> str:
        """The dataset on which a model was compared."""
        return self.where.partition(" on ")[2].rpartition(", ")[0]


def records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of a frame as mappings."""
    return frame.to_dict("records")


def cells(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the name and the rows of every (model, dataset, protocol)."""
    keys = ["model", "dataset", "protocol"]
    return [(where(part.iloc[0]), part) for _, part in frame.groupby(keys, sort=False)]


def where(row: Row) -> str:
    """Name a row's cell."""
    return f"{row['model']} on {row['dataset']}, {row['protocol']}"


def choice(row: Row) -> str:
    """Format the chosen intervention of a row; `base` if base was chosen."""
    return intervention(row["matrix"], row["layer"], row["rho"], row.get("kept_rank"))


def by_test(value: float, chance: float, margin: float = 0.0) -> str:
    """Judge a difference by its sign if its p value is below 0.05 and its size is at least the margin that matters."""
    return by_sign(value) if chance < SIGNIFICANCE and abs(value) >= margin else UNDECIDED


def by_sign(value: float) -> str:
    """Judge a number by its sign: above 0 supports."""
    return verdict_of(value > 0, value < 0)


def by_bounds(low: float, high: float) -> str:
    """Judge a quantity by its interval: above 0 supports, below 0 contradicts."""
    return verdict_of(low > 0, high < 0)


def by_margin(low: pd.Series, high: pd.Series, margin: float) -> str:
    """Judge by the intervals of effects that must not matter: all within the margin support, one beyond contradicts."""
    return verdict_of(all((low > -margin) & (high < margin)), any((low > margin) | (high < -margin)))


def verdict_of(supported: bool, contradicted: bool) -> str:
    """Return the verdict if either holds; a claim that is both counts as supported."""
    return SUPPORTED if supported else CONTRADICTED if contradicted else UNDECIDED
