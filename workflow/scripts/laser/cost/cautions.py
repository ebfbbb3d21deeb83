"""Which rows of a dataset a model cannot be asked, and which answers its tokenizer cannot write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.evaluations import task_of
from laser.config.own_rows import asked_options
from laser.config.plan import Plan
from laser.cost.inputs import MOST_ROWS, tokenizer_of
from laser.io.files import read_json
from laser.tasks.definitions import definition
from laser.tasks.questions import ask
from laser.tasks.tokens import encode

if TYPE_CHECKING:
    import pandas as pd

NAMED = 3
"""Most rows whose ids are listed."""


def cautions(plan: Plan, model: str, dataset: str, frame: pd.DataFrame, folder: Path) -> Iterator[str]:
    """Yield a line for each reason why rows of a dataset will not be asked of a model, or not as they are written.

    Args:
        plan: the study.
        model: name of one of its models.
        dataset: name of one of its datasets.
        frame: the dataset's prepared rows; the first `MOST_ROWS` are looked at.
        folder: the folder of the model's files.
    """
    from laser.evaluation.cell import examples

    entry, tokenizer = plan.model(model), tokenizer_of(folder)
    described = definition(plan.dataset(dataset)["builder"], asked_options(plan.dataset(dataset)))
    items = examples(frame[:MOST_ROWS])
    longest = _longest(folder)
    questions = ask(described, items, tokenizer, task_of(entry), entry["architecture"], longest)
    reasons = Counter(_reason(text, longest) for text in questions.left_out.values())
    for reason, count in reasons.items():
        names = [name for name, text in questions.left_out.items() if _reason(text, longest) == reason]
        yield f"note: {model} is not asked {_rows(count, len(items), names)}: {reason}"
    for reason, names in _unwritable(tokenizer, items).items():
        yield f"note: the tokenizer of {model} {reason} in {_rows(len(names), len(items), names)}"


def _rows(count: int, of: int, names: list[str]) -> str:
    more = ", …" if count > NAMED else ""
    return f"{count:,} of {of:,} rows (ids {', '.join(names[:NAMED])}{more})"


def _reason(text: str, longest: int | None) -> str:
    """Return why a row is left out, without the row's own number of tokens."""
    return f"longer than the {longest:,} tokens that it takes" if " tokens, the model takes " in text else text


def _longest(folder: Path) -> int | None:
    """Return how many tokens a model takes: as found when it was fetched, else as its config.json says."""
    from laser.models.positions import max_positions

    card = folder / "card.json"
    known = read_json(card).get("longest") if card.is_file() else None
    return known or max_positions(read_json(folder / "config.json"))


def _unwritable(tokenizer: Any, items: list[Any]) -> dict[str, list[str]]:
    """Return the ids of rows with an answer or option that has no token or contains the unknown token, by problem."""
    unwritable: dict[str, list[str]] = {}
    for item in items:
        written = [encode(tokenizer, f" {text.strip()}", special=False) for text in (item.answer, *item.options)]
        if not all(written):
            unwritable.setdefault("has no token for an answer or option", []).append(item.id)
        elif tokenizer.unk_token_id is not None and any(tokenizer.unk_token_id in ids for ids in written):
            unwritable.setdefault("takes a word of an answer or option for unknown", []).append(item.id)
    return unwritable
