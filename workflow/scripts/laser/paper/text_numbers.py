"""Numbers that only the paper's text has, and numbers of its tables that the text contradicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from laser.errors import UserError
from laser.paper.published import FOLDER, Printed, printed, read_rows

ROBUSTNESS = "GPT-J CounterFact paraphrase robustness gain (pp)"
TOP1 = "GPT-J CounterFact top-1 accuracy (text)"
PERPLEXITY_INPUT = "GPT-J perplexity on PILE validation, MLP input layers"
PERPLEXITY_OUTPUT = "GPT-J perplexity on PILE validation, MLP output layers"
COMPOSED = "GPT-J CounterFact accuracy after composing LASER over layers"

MODEL, DATASET = "GPT-J", "CounterFact"
"""The cell, by the paper's names, that these numbers belong to."""


@dataclass(frozen=True)
class TextNumber:
    """One quantity of the text.

    Attributes:
        base: number of the unmodified model; None if none is given.
        value: number with LASER, or the gain; None if it is not a single number.
        where: the place in the paper.
    """

    base: Printed | None
    value: Printed | None
    where: str


def read_text_numbers(folder: Path | str = FOLDER) -> dict[str, TextNumber]:
    """Read config/published/text_numbers.csv.

    Raises:
        UserError: the file cannot be read, or lacks one of the quantities that this workflow compares.
    """
    path = Path(folder) / "text_numbers.csv"
    numbers = {
        row["quantity"]: TextNumber(_printed(row["base"]), _printed(row["laser_or_value"]), row["where_in_paper"])
        for row in read_rows(path, ("quantity", "base", "laser_or_value", "where_in_paper"))
    }
    for name in (ROBUSTNESS, TOP1, PERPLEXITY_INPUT, PERPLEXITY_OUTPUT, COMPOSED):
        if name not in numbers:
            raise UserError(f"{path}: lacks the quantity '{name}'. Restore the file from the repository.")
    return numbers


def _printed(text: str) -> Printed | None:
    try:
        return printed(text)
    except ValueError:
        return None
