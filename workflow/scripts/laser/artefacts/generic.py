"""How many wrong answers begin with a generic word, before and after LASER.

This is the paper's explanation of its gains (section 5.1.2): the components that LASER removes answer with frequent but
uninformative words such as "the" instead of the fact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import resampled_ratios, with_interval
from laser.analysis.statistics import CONFIDENCE, RESAMPLES, group_sums, seed_sequence
from laser.analysis.tables import View, integer, intervention
from laser.config.artefacts import Artefact
from laser.results.cells import ARMS, PairedCell, intervention_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="generic",
    kind="table",
    title="Generic words among wrong answers",
    about="share of wrong answers that begin with a generic word, before and after LASER",
    reads=("test", "selection", "rows"),
    texts=("model", "dataset", "protocol", "matrix"),
    not_for_policies="answers are no words",
)

WORDS = (
    *("a", "an", "the", "this", "that", "these", "those", "such", "some", "any", "all", "and", "or", "but", "if", "as"),
    *("of", "in", "on", "at", "to", "for", "from", "with", "by", "about", "into", "than", "not", "no", "so", "also"),
    *("is", "are", "was", "were", "be", "been", "has", "have", "had", "can", "will", "would", "may", "which", "who"),
    *("it", "its", "he", "his", "she", "her", "they", "their", "we", "our", "you", "your", "there", "one"),
)
"""English function words: articles, conjunctions, prepositions, pronouns and auxiliary verbs. They are frequent in any
text and name nothing."""

COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "kept_rank", "n", "groups"),
    *("wrong_base", "wrong_laser"),
    *("base", "base_low", "base_high", "laser", "laser_low", "laser_high"),
    *("difference", "difference_low", "difference_high", "repaired", "repaired_generic"),
)
"""Columns of the CSV. `n` counts the test rows with an open answer, `wrong_<arm>` the wrong ones among them; `base` and
`laser` are the shares of wrong answers that begin with a generic word, in percent, and `difference` is in points.
`repaired` counts rows that base has wrong and LASER right, `repaired_generic` those that base answered with a generic
word."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return generic(study.compared, study.seed, study.resamples)


def begins_generic(prediction: object) -> bool:
    """Return True if the first word of an answer is one of `WORDS`, ignoring case; False if it has no word."""
    word = re.search(r"[^\W\d_]+", str(prediction))
    return word is not None and word[0].lower() in WORDS


def generic(cells: Sequence[PairedCell], seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return a row for every cell whose rows have open answers; rows that offer options are left out.

    The arms are wrong on different rows, so each share has its own denominator. Groups are resampled once for both
    arms, so the interval of the difference is paired.

    Args:
        cells: test results.
        seed: seed of the study.
        resamples: number of bootstrap resamples.

    Returns:
        A frame with the columns `COLUMNS`; a share is NaN if there are no wrong answers.
    """
    lines = [_line(cell, seed, resamples) for cell in cells if not cell.rows["has_options"].all()]
    counts = ("layer", "kept_rank", "n", "groups", "wrong_base", "wrong_laser", "repaired", "repaired_generic")
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(dict.fromkeys(counts, "Int64"))


def _line(cell: PairedCell, seed: int, resamples: int) -> dict[str, Any]:
    rows = cell.rows[~cell.rows["has_options"]]
    groups = list(rows["group"])
    wrong = {arm: ~rows[f"{arm}_correct"].to_numpy(dtype=bool) for arm in ARMS}
    begins = {arm: rows[f"{arm}_prediction"].map(begins_generic).to_numpy(dtype=bool) for arm in ARMS}
    sums = [group_sums(values, groups)[0] for arm in ARMS for values in (wrong[arm] & begins[arm], wrong[arm])]
    counted = np.stack(sums, axis=1)
    stream = seed_sequence(seed, *cell.key, "generic")
    drawn = resampled_ratios(counted, np.ones(len(counted)), seed=stream, resamples=resamples)
    shares, spread = _shares(counted.sum(axis=0, keepdims=True)), _shares(drawn)
    line: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
    line |= intervention_labels(cell.chosen)
    line |= {"n": len(rows), "groups": len(counted)} | {f"wrong_{arm}": int(wrong[arm].sum()) for arm in ARMS}
    for name in (*ARMS, "difference"):
        low, high = _bounds(spread[name])
        line |= {name: float(shares[name][0]), f"{name}_low": low, f"{name}_high": high}
    repaired = wrong["base"] & ~wrong["laser"]
    return line | {"repaired": int(repaired.sum()), "repaired_generic": int((repaired & begins["base"]).sum())}


def _shares(counted: NDArray) -> dict[str, NDArray]:
    """Return the share of generic answers of both arms, in percent, and their difference.

    Args:
        counted: (draws, 4) counts of generic and of all wrong answers of base, then of LASER, up to a common factor
            per draw.

    Returns:
        `base`, `laser` and `difference`, (draws,) float64 each; NaN where an arm has no wrong answer.
    """
    columns = {arm: counted[:, 2 * index : 2 * index + 2] for index, arm in enumerate(ARMS)}
    shares = {
        arm: 100 * np.divide(pair[:, 0], pair[:, 1], out=np.full(len(pair), math.nan), where=pair[:, 1] > 0)
        for arm, pair in columns.items()
    }
    return shares | {"difference": shares["laser"] - shares["base"]}


def _bounds(values: NDArray) -> tuple[float, float]:
    """Return the 95 % percentile interval over the draws that have a value."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def views(frame: pd.DataFrame) -> list[View]:
    """Return a view per protocol, or a single notice if no row has an open answer."""
    columns = ["Dataset", "Model", "Wrong: base", "Wrong: LASER", "Generic: base, %", "Generic: LASER, %"]
    columns += ["LASER − base, points", "Repaired", "of these generic before", "Intervention"]
    notes = [
        "Generic: the first word of the answer is one of " + ", ".join(WORDS) + ".",
        "Shares are of each arm's own wrong answers; rows that offer options are left out. Repaired: base is wrong and "
        "LASER right.",
        "Brackets: 95 % percentile bootstrap interval over groups of dependent rows; for the difference, both arms on "
        "the same resampled groups.",
    ]
    protocols = list(dict.fromkeys(frame["protocol"]))
    if not protocols:
        nothing = "No test row has an open answer: all offer options."
        return [View("generic", ARTEFACT.title, columns, [], notes=[nothing])]
    return [
        View(
            f"generic_{protocol}",
            f"Generic words among wrong answers on held-out rows, {protocol} protocol",
            columns,
            [_cells(row) for row in frame[frame["protocol"] == protocol].to_dict("records")],
            notes=notes,
        )
        for protocol in protocols
    ]


def _cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        row["dataset"],
        row["model"],
        integer(row["wrong_base"]),
        integer(row["wrong_laser"]),
        with_interval(row, 1, "base"),
        with_interval(row, 1, "laser"),
        with_interval(row, 1, "difference", sign=True),
        integer(row["repaired"]),
        integer(row["repaired_generic"]),
        intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
    ]
