"""A tiny (model, dataset) cell on disk, and the rule scripts run on it in this process."""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.architectures import ARCHITECTURES
from laser.evaluation.cell import Cell, open_cell
from laser.io.files import write_json, write_parquet
from laser.io.job import Job
from tests import tiny

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
LAYERS = 2
WORDS = ("Paris", "France", "capital", "Japan", "yen", "Mexico", "peso", "Brazil", "Egypt", "India", "Asia", "poet")
ANSWERS = {"fever": ("true", "false"), "worldfacts": ("Paris", "Cairo", "Asia", "yen"), "qa_wikidata": ("Cairo", "yen")}
FAMILIES = ("llama", "gptj", "roberta")


def rows(builder: str, count: int = 30, seed: int = 0) -> pd.DataFrame:
    """Return made-up prepared rows: groups of two; the corrected split's validation side is not the published one's."""
    source = random.Random(seed)
    made = []
    for place in range(count):
        text = " ".join(source.sample(WORDS, 4))
        answers = ANSWERS[builder]
        made.append(
            {
                "id": f"{builder}-{place}",
                "group": f"group-{place // 2}",
                "text": text,
                "prompt": f"{text} is",
                "answer": answers[source.randrange(len(answers))],
                "options": list(answers) if builder == "fever" else [],
                "split_published": "validation" if place < 12 else "test",
                "split_corrected": "validation" if place % 6 < 2 else "test",
                "answer_in_prompt": False,
                **dict.fromkeys(("subject", "relation", "phrasing", "frequency")),
            }
        )
    return pd.DataFrame(made)


class TinyCell:
    """A checkpoint, prepared rows, a store of factors, and a spec for all jobs on them.

    Attributes:
        folder: where everything stands.
        spec: an evaluation spec, to which a job's own keys are added.
    """

    def __init__(self, folder: Path, family: str = "llama", builder: str = "worldfacts", **changes: Any) -> None:
        self.folder = folder
        self.model = tiny.checkpoint(folder / "model", family) / "card.json"
        write_json(self.model, {})
        self.data = folder / "rows.parquet"
        self.write_rows(rows(builder))
        self.matrices = list(ARCHITECTURES[family].matrices)
        self.spec: dict[str, Any] = {
            "study": "tiny",
            "model": {"name": f"tiny-{family}", "dtype": "fp32", "architecture": family, "layers": LAYERS, "key": "k"},
            "dataset": f"{builder}-k",
            "dataset_name": builder,
            "builder": builder,
            "protocols": ["published", "corrected"],
            "engine": "fast",
            "token_budget": 256,
            "seed": 0,
            "compute": {"device": "cpu", "threads": 1},
            "code": "c",
        } | changes

    def write_rows(self, frame: pd.DataFrame) -> None:
        """Write prepared rows in the place of the cell's own."""
        write_parquet(self.data, frame, {})

    def open(self, side: str = "validation", **changes: Any) -> Cell:
        """Open the cell as a job would."""
        return open_cell(self.spec | changes, self.model, self.data, self.folder / "factors", side)

    def job(self, spec: dict[str, Any] | None = None, **paths: Path | list[Path]) -> Job:
        """Return a job on the cell."""
        given = {"model": self.model, "rows": self.data, "factors": self.folder / "factors"} | paths
        files = {name: one if isinstance(one, list) else [one] for name, one in given.items()}
        return Job("test", self.spec | (spec or {}), files)

    def run(self, script: str, spec: dict[str, Any], output: str, **paths: Path | list[Path]) -> Path:
        """Run a rule script through its own command line, in this process; return its output."""
        target = self.folder / output
        given: dict[str, Any] = {"model": self.model, "rows": self.data, "factors": self.folder / "factors"}
        arguments = ["--spec", json.dumps(self.spec | spec), "--log", str(self.folder / f"{script}.log")]
        for name, one in (given | {"output": target} | paths).items():
            arguments += [f"--{name}", *map(str, one if isinstance(one, list) else [one])]
        run_script(script, arguments)
        return target


def by_family(folders: Any, make: Callable[[Path, str], TinyCell]) -> Callable[[str], TinyCell]:
    """Return a function that gives the cell of a family, made by `make` in a folder of its own when first asked for.

    `folders` is pytest's tmp_path_factory.
    """
    return functools.cache(lambda family: make(folders.mktemp(family), family))


def run_script(script: str, arguments: list[str]) -> None:
    """Run a rule script as __main__ with a command line of its own."""
    described = importlib.util.spec_from_file_location("__main__", SCRIPTS / f"{script}.py")
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    before = sys.argv
    sys.argv = [script, *arguments]
    try:
        described.loader.exec_module(module)
    finally:
        sys.argv = before
