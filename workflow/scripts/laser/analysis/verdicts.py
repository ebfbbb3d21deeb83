"""Judging a published number against ours, by rules that are written down as data and applied by code alone."""

from __future__ import annotations

from collections.abc import Iterable

from laser.analysis.statistics import two_proportion_p_value
from laser.config.protocols import SIGNIFICANCE
from laser.paper.published import Printed

CONSTANT_MARGIN = 0.5

PART = "part of the paper's rows"
NOT_RUN = "not run"
NOT_COMPARED = (PART, NOT_RUN)
"""Verdicts on numbers that nothing of ours stands beside."""

BASE_CHOSEN = "base chosen"
CONSTANT = "equals a constant answer"
NOT_SIGNIFICANT = "not significant in the paper's own n"
REPLICATED = "replicated"
DIFFERS = "differs"

VERDICT_RULES: dict[str, str] = {
    PART: (
        "The dataset was read from a source that has only a part of its rows (the data's card says which), so that "
        "ours are not the rows behind the published number."
    ),
    NOT_RUN: (
        "The study has no result for this published cell, or used only the first rows of the dataset, which are no "
        "sample of the rows behind the published number."
    ),
    BASE_CHOSEN: (
        "LASER arm only: no intervention beat the base model on validation, so the base model stands for LASER and "
        "there is no gain to compare."
    ),
    CONSTANT: (
        f"Accuracy only: the published value lies within {CONSTANT_MARGIN} points of what one constant answer scores "
        "on our test rows (any label where rows offer options, otherwise the most frequent answer), so it shows no "
        "ability."
    ),
    NOT_SIGNIFICANT: (
        "Accuracy of the LASER arm only: a pooled two-sided two-proportion z test on the published base and LASER "
        "accuracies, with the paper's number of test rows in each arm, gives p of at least "
        f"{SIGNIFICANCE}. The paper gives no paired outcomes, so this is the test its reader can make."
    ),
    REPLICATED: (
        "The published value, give or take half a unit of its last printed digit, lies within our 95 % interval; and "
        "for the LASER arm our difference to base has the published sign and a Holm-adjusted p value below "
        f"{SIGNIFICANCE}."
    ),
    DIFFERS: "None of the above.",
}
"""Each verdict and when it is given. The first rule that applies, in this order, decides."""


def verdict(
    *,
    metric: str,
    arm: str,
    published: Printed | None,
    published_base: Printed | None,
    published_n: int | None,
    complete: bool,
    part: bool = False,
    base_chosen: bool,
    low: float,
    high: float,
    difference: float,
    p_holm: float,
    constants: Iterable[float],
) -> str:
    """Apply `VERDICT_RULES` to one published number.

    Args:
        metric: `accuracy` (percent) or `loss` (nats).
        arm: `base` or `laser`.
        published: the printed number of this arm; None where the paper has no such cell (the verdict is then empty
            or `base chosen`).
        published_base: the printed number of the base arm.
        published_n: the paper's number of test rows.
        complete: True if our dataset was prepared whole.
        part: True if our dataset was read from a source with a part of its rows.
        base_chosen: True if selection kept the base model.
        low: lower bound of our 95 % interval.
        high: its upper bound.
        difference: our LASER minus base; NaN for the base arm.
        p_holm: our adjusted p value; NaN for the base arm.
        constants: accuracies of constant answers on our test rows, percent.
    """
    if published is not None and part:
        return PART
    if published is not None and not complete:
        return NOT_RUN
    if arm == "laser" and base_chosen:
        return BASE_CHOSEN
    if published is None:
        return ""
    if metric == "accuracy" and any(abs(published.value - constant) <= CONSTANT_MARGIN for constant in constants):
        return CONSTANT
    if arm == "laser" and metric == "accuracy" and published_base is not None and published_n is not None:
        p_value = two_proportion_p_value(published_base.value, published.value, published_n)
        if p_value >= SIGNIFICANCE:
            return NOT_SIGNIFICANT
    within = low - published.half_unit <= published.value <= high + published.half_unit
    if arm == "laser" and published_base is not None:
        same = difference * (published.value - published_base.value) > 0 and p_holm < SIGNIFICANCE
        return REPLICATED if within and same else DIFFERS
    return REPLICATED if within else DIFFERS
