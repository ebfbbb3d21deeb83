"""Rows of datasets that tokenizers cannot take, asked again, for all cells of a study in one process.

python -m laser.replay.left_out reads a list on standard input: the `folder` of a model, the file of the `rows`, and the
`builder` and `options` of the dataset. It prints, in the same order, which rows are `left_out` and why, or the `reason`
why that cannot be told.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.evaluation.cell import examples
from laser.io.files import read_json, read_parquet
from laser.models.kinds import task_of
from laser.models.positions import max_positions
from laser.models.tokenizer import load_tokenizer
from laser.tasks.definitions import definition
from laser.tasks.questions import ask


def left_out(folder: Path, rows: str, builder: str, options: dict[str, Any]) -> dict[str, str]:
    """Return the ids of the rows that the model in `folder` cannot be asked, with the reason for each."""
    config = read_json(folder / "config.json")
    items, tokenizer = examples(read_parquet(rows)), load_tokenizer(folder)
    asked = ask(
        definition(builder, options), items, tokenizer, task_of(config), config["model_type"], max_positions(config)
    )
    return asked.left_out


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Return what is printed for one question. A fault of one cell is no other's."""
    try:
        return {"left_out": left_out(Path(question.pop("folder")), **question)}
    except UserError as error:
        return {"reason": str(error)}
    except Exception as error:
        return {"reason": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    print(json.dumps([answer(question) for question in json.load(sys.stdin)]))
