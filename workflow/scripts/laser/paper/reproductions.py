"""What others found when they applied LASER to the paper's cells, read from config/published (see the README there)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from laser.errors import UserError
from laser.paper.published import FOLDER, Published, read_published, read_rows

INDEPENDENT, SETTINGS, FOLLOW_UP = (
    "independent_reproductions.csv",
    "reproduction_settings.csv",
    "followup_tensorllm.csv",
)
ARMS = ("base", "laser", "gain", "other")
FOLLOW_UP_SOURCE = "arXiv 2501.15674, from third-party notes"
FOLLOW_UP_SETTINGS = {
    "case1_laser_one_ffn_matrix": "LASER on one MLP matrix",
    "case2_laser_ffn_and_mha": "LASER on MLP and attention matrices",
}
"""Columns of the follow-up work that hold LASER, and what LASER is there; the others hold another method."""

PLACES = 6
"""Decimals to which a difference of printed numbers is rounded, so that it shows no error of binary fractions."""


@dataclass(frozen=True)
class Reproduction:
    """A gain in accuracy that others report.

    Attributes:
        model, dataset: by the paper's names, where the paper has such a model.
        setting: the intervention and the rows, as far as they are stated.
        source: whose number it is.
        base, laser: accuracy in percent, NaN if only the gain is given.
        gain: in points.
    """

    model: str
    dataset: str
    setting: str
    source: str
    base: float
    laser: float
    gain: float


def read_reproductions(folder: Path | str = FOLDER) -> list[Reproduction]:
    """Return the gains that others report, independent reproductions first.

    Numbers without a base of the same source are left out, as is what the follow-up work repeats from the paper.

    Raises:
        UserError: a file is missing, lacks a column, holds a setting of an unknown arm, or something else where a
            number belongs.
    """
    folder = Path(folder)
    try:
        return [*_independent(folder), *_follow_up(folder, read_published(folder))]
    except ValueError as error:
        raise UserError(f"{folder}: a table holds something that is no number ({error}). Restore it.") from error


def _independent(folder: Path) -> list[Reproduction]:
    arms = {row["setting"]: row["arm"] for row in read_rows(folder / SETTINGS, ("setting", "arm"))}
    rows = read_rows(folder / INDEPENDENT, ("dataset", "model", "setting", "found", "source"))
    for row in rows:
        if arms.get(row["setting"]) not in ARMS:
            raise UserError(
                f"{folder / SETTINGS}: names no arm for the setting '{row['setting']}' of {INDEPENDENT}. "
                f"Allowed: {', '.join(ARMS)}. Add it, or restore the file."
            )
    bases = {_measurement(row): _number(row) for row in rows if arms[row["setting"]] == "base"}
    gains = []
    for row in rows:
        arm, base, number = arms[row["setting"]], bases.get(_measurement(row), math.nan), _number(row)
        if arm == "gain":
            values = (math.nan, math.nan, number)
        elif arm == "laser" and not math.isnan(base):
            values = (base, number, round(number - base, PLACES))
        else:
            continue
        gains.append(Reproduction(row["model"], row["dataset"], row["setting"], _source(row), *values))
    return gains


def _measurement(row: dict[str, str]) -> tuple[str, str, str]:
    """Return what base and LASER of one measurement have in common."""
    return row["model"], row["dataset"], _source(row)


def _number(row: dict[str, str]) -> float:
    """Return the number found, without the remark that may follow it in brackets."""
    return float(row["found"].split(" ")[0])


def _source(row: dict[str, str]) -> str:
    """Return the source without the remarks that follow it."""
    return row["source"].split(";")[0]


def _follow_up(folder: Path, published: Published) -> list[Reproduction]:
    gains = []
    for row in read_rows(folder / FOLLOW_UP, ("model", "dataset", "base", *FOLLOW_UP_SETTINGS)):
        base = float(row["base"])
        for column, setting in FOLLOW_UP_SETTINGS.items():
            laser, printed = (
                float(row[column]),
                published.table1.get((row["model"], row["dataset"], "accuracy", "laser")),
            )
            if printed is None or printed.value != laser:
                cell = (row["model"], row["dataset"], setting, FOLLOW_UP_SOURCE)
                gains.append(Reproduction(*cell, base, laser, round(laser - base, PLACES)))
    return gains
