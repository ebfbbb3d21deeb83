"""False targets: for each prepared question that has one, an answer that is known to be wrong.

CounterFact's records name one per fact (`requested_rewrite.target_new`); rows of the user's own have them in the column
`columns.false_answer`. The dataset's own builder builds the rows a second time, with the false target in place of the
true answer, so it is written (spaces, letter of an option) as the true one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.own_rows import GENERIC, splits_of
from laser.errors import UserError
from laser.tasks.datasets import build, module
from laser.tasks.datasets._rows import field
from laser.tasks.formats import Rows
from laser.tasks.sources import Downloads, read_dataset

COLUMN = "false_answer"
"""Key in `columns` of the user's own rows."""


def false_targets(entry: Mapping[str, Any], downloads: Path) -> pd.DataFrame:
    """Return the false target of every question that has one: columns `id` and `answer`.

    Args:
        entry: the dataset's entry, as it was prepared.
        downloads: where archives of the package index are kept.

    Raises:
        UserError: no source works, or a record lacks the false target that its dataset's records have.
    """
    own = entry["builder"] == GENERIC
    splits = splits_of(entry["sources"]) if own else module(entry["builder"]).SPLITS
    columns = module(entry["builder"]).COLUMNS
    reading = read_dataset(entry["name"], entry["sources"], splits, columns, Downloads(downloads), entry.get("partial"))
    options = dict(entry.get("options") or {})
    if own:
        options["columns"] = options["columns"] | {"answer": options["columns"][COLUMN]}
    else:
        reading.rows.update({split: _swapped(rows) for split, rows in reading.rows.items()})
    try:
        examples, _ = build(entry["builder"], options, reading.read)
    except UserError as error:
        raise UserError(f"dataset '{entry['name']}', false targets: {error}") from error
    return pd.DataFrame(
        {"id": [example.id for example in examples], "answer": [example.answer for example in examples]}, dtype="str"
    )


def _swapped(rows: Rows) -> Rows:
    """Return CounterFact's records with the false target in place of the true one."""
    swapped = []
    for number, row in enumerate(rows):
        target = field(row, "requested_rewrite.target_new.str", f"CounterFact, record {number}")
        swapped.append(row | {"requested_rewrite": row["requested_rewrite"] | {"target_true": {"str": target}}})
    return swapped
