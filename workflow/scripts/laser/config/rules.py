"""The margins and thresholds of verdicts: config/claims.yaml, which is changed before results are looked at."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from laser.config.fields import Settings
from laser.config.validation import check
from laser.config.yaml_files import read_yaml

NAME = "config/claims.yaml"
PATH = Path(__file__).resolve().parents[4] / NAME

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Margins(Settings):
    """Differences that are too small to matter: of an accuracy (points), a loss (nats), a return (points)."""

    accuracy: Positive
    loss: Positive
    reward: Positive


class Rules(Settings):
    """What config/claims.yaml says; its comments tell the units."""

    margins: Margins
    constant: Positive
    wording: Positive
    frequency: Positive
    components: Positive
    attention: Fraction
    effective_rank: Fraction
    pattern: Fraction
    severe: Fraction

    def margin(self, metric: str) -> float:
        """Return the margin of a metric of Table 1 or 2: accuracy, loss or return."""
        return {"accuracy": self.margins.accuracy, "loss": self.margins.loss, "return": self.margins.reward}[metric]


def read_rules(path: Path = PATH) -> Rules:
    """Read the margins and thresholds.

    Raises:
        UserError: a key is missing or unknown, or a value is none that is allowed.
    """
    given = read_yaml(path)
    check(given, Rules, path)
    return Rules.model_validate(given)


@cache
def rules() -> Rules:
    """Return the margins and thresholds of this checkout."""
    return read_rules()
