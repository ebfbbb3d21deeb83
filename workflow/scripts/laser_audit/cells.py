"""Test rows of base and LASER side by side, and comparisons of the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from laser_audit.numbers import change_interval, holm, interval, mean, paired, share_interval, sign_flip, stream
from laser_audit.reading import Study, remembered
from laser_audit.rows import parts, test_path
from laser_audit.selection import selection_path
from laser_audit.splits import Prepared, prepared

ARMS = ("base", "laser")
COMPARED = (
    *("n", "groups", "base", "base_low", "base_high", "laser", "laser_low", "laser_high"),
    *("difference", "difference_low", "difference_high", "p_value", "p_holm"),
)


@dataclass(frozen=True)
class Tested:
    """A cell's test rows.

    Attributes:
        model, dataset, protocol: the cell's names.
        ids: the rows, in order.
        groups: their groups.
        arms: `base` and `laser` to their scores, in the order of `ids`.
        chosen: the selected intervention; None if base was chosen.
        data: the prepared dataset.
    """

    model: str
    dataset: str
    protocol: str
    ids: list[str]
    groups: list[str]
    arms: dict[str, pd.DataFrame]
    chosen: dict[str, Any] | None
    data: Prepared

    @property
    def name(self) -> tuple[str, str, str]:
        """Model, dataset and protocol."""
        return self.model, self.dataset, self.protocol

    @property
    def intervention(self) -> dict[str, Any]:
        """The intervention as tables show it: empty text and no numbers where base was chosen."""
        chosen = self.chosen or {"matrix": "", "layer": None, "rho": None, "kept_rank": None}
        return {key: chosen[key] for key in ("matrix", "layer", "rho", "kept_rank")}

    def values(self, arm: str, column: str, scale: float = 1.0) -> list[float]:
        """Return one column of an arm as numbers."""
        return [scale * float(value) for value in self.arms[arm][column].tolist()]


@remembered
def tested(study: Study, model: str, dataset: str, protocol: str) -> Tested:
    """Return a cell's test rows."""
    by_key = parts(study, test_path(model, dataset))
    arms = {arm: by_key[protocol, arm] for arm in ARMS}
    data = prepared(study, dataset)
    ids = arms["base"]["id"].tolist()
    if arms["laser"]["id"].tolist() != ids:
        raise ValueError(f"{test_path(model, dataset)}: base and laser hold other rows")
    chosen = study.json(selection_path(model, dataset))["protocols"][protocol]["chosen"]
    return Tested(model, dataset, protocol, ids, data.groups(ids), arms, chosen, data)


def all_tested(study: Study, protocols: Sequence[str]) -> list[Tested]:
    """Return every cell under these protocols, in the study's order."""
    return [tested(study, *cell, protocol) for cell in study.cells() for protocol in protocols]


def compared(
    base: Sequence[float],
    laser: Sequence[float],
    groups: Sequence[object],
    names: Sequence[str],
    truth: bool,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """Return the columns of a comparison: both arms with intervals, their difference, and its test.

    Args:
        base: values of base, one per row; 0 or 1 if `truth`.
        laser: values of the other arm, for the same rows.
        groups: the rows' groups.
        names: names of the quantity, which seed its streams of random numbers.
        truth: True if the values say which answers are right; the result is then in percent.
        seed: the study's seed.
        resamples: number of draws for the bootstrap and the permutation test.
    """
    scale = 100.0 if truth else 1.0
    first, second = (scale * np.array(values, dtype=np.float64) for values in (base, laser))
    kept = np.isfinite(first) & np.isfinite(second)  # on other rows one of the arms overflowed
    first, second = first[kept], second[kept]
    groups = [group for group, keep in zip(groups, kept, strict=True) if keep]
    if not groups:
        return dict.fromkeys(COMPARED, math.nan) | {"n": 0, "groups": 0}
    change = second - first
    comparison: dict[str, Any] = {"n": len(groups), "groups": len(set(groups))}
    for arm, values in (("base", first), ("laser", second)):
        if truth:
            low, high = (100 * bound for bound in share_interval(values / 100, groups))
        else:
            low, high = interval(values, groups, stream(seed, *names, "interval"), resamples)
        comparison |= {arm: mean(values), f"{arm}_low": low, f"{arm}_high": high}
    draws = stream(seed, *names, "test")
    if truth:
        low, high = (100 * bound for bound in change_interval(change / 100, groups))
        chance = paired(first != 0, second != 0, groups, draws, resamples)
    else:
        low, high = interval(change, groups, stream(seed, *names, "difference"), resamples)
        chance = sign_flip(change, groups, draws, resamples)
    return comparison | {"difference": mean(change), "difference_low": low, "difference_high": high, "p_value": chance}


def adjusted(rows: Sequence[dict[str, Any]]) -> None:
    """Add Holm-adjusted p values in place, over all tests of each protocol."""
    for protocol in {row["protocol"] for row in rows}:
        tests = [row for row in rows if row["protocol"] == protocol and not math.isnan(row.get("p_value", math.nan))]
        for row, value in zip(tests, holm([row["p_value"] for row in tests]), strict=True):
            row["p_holm"] = value
