"""The first picture of the report: accuracy of base and LASER with intervals, a row per model and dataset.

Positions are in percent of the picture's width, so the page needs no script to draw it at any width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from laser.analysis.tables import number
from laser.analysis.verdicts import NOT_COMPARED
from laser.report.summary import Pair, apart

MARGIN = 2.0
"""Empty margin on either side, in percent of the width."""

STEPS = (1, 2, 5, 10, 20, 25)
"""Possible distances between ticks, in points of accuracy."""

MOST_TICKS = 4


@dataclass(frozen=True)
class Arm:
    """Positions of an arm's value, of its interval, and of the published value that it was compared with."""

    at: float
    low: float
    high: float
    published: float | None


@dataclass(frozen=True)
class Dumbbell:
    """One row: names, positions, and the numbers in words.

    Attributes:
        constant: position of a constant answer's accuracy, or None.
        values: base and LASER, rounded.
        change: the difference with its interval.
    """

    model: str
    dataset: str
    outcome: str
    base: Arm
    laser: Arm
    constant: float | None
    values: tuple[str, str]
    change: str


@dataclass(frozen=True)
class Picture:
    """All rows on one axis.

    Attributes:
        rows: one dumbbell per pair.
        ticks: position and label of each tick.
        constant, published: True if any row shows such a mark.
    """

    rows: list[Dumbbell]
    ticks: list[tuple[float, str]]
    constant: bool
    published: bool


def picture(pairs: Sequence[Pair]) -> Picture:
    """Lay out the accuracies of the pairs on a common axis."""
    numbers: list[float] = [
        value
        for pair in pairs
        for row in (pair.base, pair.laser)
        for value in map(_number, (row["value"], row["low"], row["high"], row["constant"], _compared(row)))
        if value is not None
    ]
    first, last, step = _axis(min(numbers, default=0.0), max(numbers, default=100.0))

    def position(given: Any) -> float | None:
        value = _number(given)
        if value is None:
            return None
        return round(MARGIN + (100 - 2 * MARGIN) * (value - first) / (last - first), 2)

    def arm(row: Mapping[Any, Any]) -> Arm:
        at = position(row["value"]) or 0.0
        ends = (position(row[end]) for end in ("low", "high"))
        low, high = (at if end is None else end for end in ends)
        return Arm(at, low, high, position(_compared(row)))

    rows = [
        Dumbbell(
            model=pair.laser["model"],
            dataset=pair.laser["dataset"],
            outcome=pair.outcome,
            base=arm(pair.base),
            laser=arm(pair.laser),
            constant=position(pair.base["constant"]),
            values=apart(pair.base["value"], pair.laser["value"], 1),
            change=_change(pair.laser),
        )
        for pair in pairs
    ]
    ticks = [first + step * index for index in range(round((last - first) / step) + 1)]
    return Picture(
        rows,
        [(position(tick) or 0.0, number(tick, 0)) for tick in ticks],
        constant=any(row.constant is not None for row in rows),
        published=any(arm.published is not None for row in rows for arm in (row.base, row.laser)),
    )


def _change(laser: Mapping[Any, Any]) -> str:
    difference = apart(laser["difference"], 0.0, 1, True)[0]
    low, high = apart(laser["difference_low"], laser["difference_high"], 1, True)
    return f"{difference} [{low}, {high}]"


def _compared(row: Mapping[Any, Any]) -> float | None:
    """Return the published value of a row, or None if ours was not compared with it."""
    return row["published"] if row.get("verdict") and row["verdict"] not in NOT_COMPARED else None


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Return the limits of an axis of percentages, and the distance between its ticks."""
    fitting: Iterable[float] = (step for step in STEPS if (high - low) / step <= MOST_TICKS - 1)
    step = next(iter(fitting), STEPS[-1])
    first, last = math.floor(low / step) * step, math.ceil(high / step) * step
    return first, last if last > first else first + step, step


def _number(value: Any) -> float | None:
    """Return a percentage, or None if it is missing."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 100 else None
