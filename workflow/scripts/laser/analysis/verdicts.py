"""Judging a published number by rules that are written down as data and applied only by code.

There are two separate questions: what the printed number shows on its own (`shown`), and whether ours agrees with it
(`agreement`). Margins come from config/claims.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from laser.analysis.statistics import mcnemar_p_range
from laser.config.protocols import SIGNIFICANCE
from laser.config.rules import rules
from laser.paper.published import Printed

PART = "part of the paper's rows"
NOT_RUN = "not run"
NOT_COMPARED = (PART, NOT_RUN)
"""Verdicts on published numbers that are compared with none of ours."""

REPLICATED = "replicated"
DIFFERS = "differs"
UNDECIDED = "undecided"

_MARGINS = (
    f"{rules().margins.accuracy:g} point{'' if rules().margins.accuracy == 1 else 's'} (or one row, where that is "
    f"more), {rules().margins.loss:g} nats, {rules().margins.reward:g} points of return; in quadrature what another "
    "seed of the randomised SVD (LASER arm) and other arithmetic change; and half a unit of the last printed digit"
)
VERDICT_RULES: dict[str, str] = {
    PART: (
        "The dataset was read from a source that has only a part of its rows (the data's card says which), so that "
        "ours are not the rows behind the published number."
    ),
    NOT_RUN: (
        "The study has no result for this published cell, or used only the first rows of the dataset (or the first of "
        "its validation rows), so that its rows, or its choice, are not those behind the published number."
    ),
    REPLICATED: (
        f"Ours equals the published value within the margin stated in advance: {_MARGINS}. Under the published "
        "protocol, whose test rows are the paper's, our value does; under the corrected one, whose rows are others, "
        "our whole 95 % interval does. For the LASER arm the difference to base must be equal in the same way too."
    ),
    DIFFERS: (
        "Our value (published protocol), or our whole 95 % interval (corrected protocol), lies outside the margin; or, "
        "for the LASER arm, that of the difference to base does."
    ),
    UNDECIDED: "Corrected protocol only: the interval lies partly within the margin and partly outside.",
}
"""Whether ours agrees: each verdict and its condition. A LASER arm for which selection kept the base model is judged
like any other: its difference is 0."""

CONSTANT = "a constant answer does as well"
NO_DIFFERENCE = "no significant difference"
OPEN = "significance not settled"
DIFFERENCE = "a significant difference"
ABILITY = "no constant answer does as well"

SHOWN_RULES: dict[str, str] = {
    CONSTANT: (
        f"Accuracy only: the published value is at most {rules().constant:g} points above what the best constant "
        "answer scores on our test rows (a label where rows offer options, otherwise the most frequent answer)."
    ),
    NO_DIFFERENCE: (
        "Accuracy of the LASER arm: McNemar's exact test on the published base and LASER accuracies and the paper's "
        f"number of test rows gives p of at least {SIGNIFICANCE}, however many rows changed sides. The paper prints no "
        "paired outcomes."
    ),
    OPEN: f"The same: p is below {SIGNIFICANCE} if few rows changed sides, and not if many did.",
    DIFFERENCE: f"The same: p is below {SIGNIFICANCE} however many rows changed sides.",
    ABILITY: "Accuracy of the base arm: the published value is further above that of every constant answer.",
}
"""What a printed number shows on its own. The first rule that applies, in this order, decides; a printed loss or return
cannot be tested, because no spread is printed."""


@dataclass(frozen=True)
class Shown:
    """What a printed number shows, with the range of McNemar's p over possible numbers of changed rows (or NaN)."""

    shows: str = ""
    p_low: float = math.nan
    p_high: float = math.nan


def shown(
    *,
    metric: str,
    arm: str,
    published: Printed | None,
    published_base: Printed | None,
    published_n: int | None,
    constant: float,
) -> Shown:
    """Apply `SHOWN_RULES` to one published number.

    Args:
        metric: `accuracy` (percent), `loss` or `return`.
        arm: `base` or `laser`.
        published: the printed number of this arm; None if the paper has no such cell.
        published_base: the printed number of the base arm.
        published_n: the paper's number of test rows; None if it prints none.
        constant: accuracy of the best constant answer on our test rows, percent; NaN if answers are not words.
    """
    if published is None or metric != "accuracy":
        return Shown()
    low = high = math.nan
    if arm == "laser" and published_base is not None and published_n is not None:
        low, high = mcnemar_p_range(published_base.value, published.value, published_n)
    if published.value <= constant + rules().constant:
        return Shown(CONSTANT, low, high)
    if not math.isnan(low):
        name = NO_DIFFERENCE if low >= SIGNIFICANCE else DIFFERENCE if high < SIGNIFICANCE else OPEN
        return Shown(name, low, high)
    return Shown(ABILITY if arm == "base" and not math.isnan(constant) else "")


def agreement(
    *,
    metric: str,
    arm: str,
    published: Printed | None,
    published_base: Printed | None,
    complete: bool,
    part: bool = False,
    same_rows: bool,
    n: int,
    ours: tuple[float, float, float],
    difference: tuple[float, float, float],
) -> str:
    """Apply `VERDICT_RULES` to one published number.

    Args:
        metric: `accuracy` (percent), `loss` (nats) or `return` (points).
        arm: `base` or `laser`.
        published: the printed number of this arm; None if the paper has no such cell, which then has no verdict.
        published_base: the printed number of the base arm.
        complete: True if our dataset was prepared in full.
        part: True if our dataset was read from a source that has only part of its rows.
        same_rows: True if our test rows are the paper's.
        n: our number of test rows.
        ours: our value and the bounds of its 95 % interval.
        difference: our LASER minus base and the bounds of its 95 % interval; NaN for the base arm.
    """
    if published is None:
        return ""
    if part:
        return PART
    if not complete or not n:
        return NOT_RUN
    # The printed LASER number is one draw of the randomised SVD; so is ours under the published protocol.
    draws = 0 if arm == "base" else 2 if same_rows else 1
    margin = rules().equivalence(metric, n, draws=draws)
    verdicts = [_equal(*ours, published.value, margin + published.half_unit, same_rows)]
    if arm == "laser" and published_base is not None:
        slack = rules().equivalence(metric, n, draws=draws, roundings=2)
        slack += published.half_unit + published_base.half_unit
        verdicts.append(_equal(*difference, published.value - published_base.value, slack, same_rows))
    for verdict in (DIFFERS, UNDECIDED):
        if verdict in verdicts:
            return verdict
    return REPLICATED


ROUNDING = 1e-9
"""Tolerance for comparing a difference of decimal numbers with a margin."""


def _equal(value: float, low: float, high: float, printed: float, margin: float, same_rows: bool) -> str:
    """Judge whether our value (same rows), or its interval (other rows), agrees with a printed number."""
    if same_rows:
        low = high = value
    least, most = printed - margin - ROUNDING, printed + margin + ROUNDING
    if least <= low and high <= most:
        return REPLICATED
    return DIFFERS if high < least or low > most else UNDECIDED
