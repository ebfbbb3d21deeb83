"""The margins and thresholds of verdicts: config/claims.yaml, which is changed only before results are looked at."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from laser.config.fields import Settings
from laser.config.validation import check
from laser.config.yaml_files import read_yaml

NAME = "config/claims.yaml"
PATH = Path(__file__).resolve().parents[4] / NAME

QUANTILE = 1.959964
"""Number of standard deviations around the mean that hold 95 % of a normal distribution."""

PositiveNumber = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Margins(Settings):
    """Differences that are too small to matter: of an accuracy (points), a loss (nats), a return (points)."""

    accuracy: PositiveNumber
    loss: PositiveNumber
    reward: PositiveNumber


class Spreads(Settings):
    """How far two runs of one method differ: shares of rows whose answer changes, and spreads of the loss."""

    seed_rows: Fraction
    seed_loss: PositiveNumber
    rounding_rows: Fraction
    rounding_loss: PositiveNumber


class Rules(Settings):
    """What config/claims.yaml says; its comments give the units."""

    margins: Margins
    spreads: Spreads
    constant: PositiveNumber
    wording: PositiveNumber
    frequency: PositiveNumber
    components: PositiveNumber
    attention: Fraction
    effective_rank: Fraction
    pattern: Fraction
    severe: Fraction

    def margin(self, metric: str) -> float:
        """Return the margin of a metric of Table 1 or 2: accuracy, loss or return."""
        return {"accuracy": self.margins.accuracy, "loss": self.margins.loss, "return": self.margins.reward}[metric]

    def equivalence(self, metric: str, n: int, *, draws: int, roundings: int = 1) -> float:
        """Return the margin within which two values of one method are equal: what matters, plus chance.

        Args:
            metric: accuracy, loss or return. For a return neither spread is known.
            n: number of rows. The margin of an accuracy is never less than one row.
            draws: how many of the two values depend on a seed of the randomised SVD.
            roundings: how many of the compared values are ours, each with its own rounding.
        """
        margin, spreads = self.margin(metric), self.spreads
        seed = rounding = 0.0
        if metric == "accuracy":
            margin = max(margin, 100 / n)
            # Answers change for the better as often as for the worse.
            seed, rounding = (100 * math.sqrt(share / n) for share in (spreads.seed_rows, spreads.rounding_rows))
        elif metric == "loss":
            seed, rounding = spreads.seed_loss, spreads.rounding_loss / math.sqrt(n)
        return math.hypot(margin, QUANTILE * seed * math.sqrt(draws), QUANTILE * rounding * math.sqrt(roundings))


def read_rules(path: Path = PATH) -> Rules:
    """Read the margins and thresholds.

    Raises:
        UserError: a key is missing or unknown, or a value is not allowed.
    """
    given = read_yaml(path)
    check(given, Rules, path)
    return Rules.model_validate(given)


@cache
def rules() -> Rules:
    """Return the margins and thresholds of this checkout."""
    return read_rules()
