"""A tiny (model, dataset) cell on disk, and the rule scripts run on it in this process."""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.architectures import ARCHITECTURES
from laser.config.evaluations import RUNS
from laser.config.paths import Folders
from laser.config.specs import FORMAT, EvaluationSpec, read_spec
from laser.evaluation.cell import Cell, cell_of, open_model
from laser.io.files import write_json, write_parquet
from laser.reduction.factors import FactorStore
from tests import tiny
from tests.evaluation.given_job import GivenJob, given_job

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
LAYERS = 2
WORDS = ("Paris", "France", "capital", "Japan", "yen", "Mexico", "peso", "Brazil", "Egypt", "India", "Asia", "poet")
ANSWERS = {"fever": ("true", "false"), "worldfacts": ("Paris", "Cairo", "Asia", "yen"), "qa_wikidata": ("Cairo", "yen")}
OUTPUTS = {
    "base": "base",
    "test_intervention": "test",
    "landscape": "landscape",
    "gradients": "gradients",
    "race": "race",
    "compose_layers": "composition",
    "compose_test": "composed",
    **{f"evaluate_{kind}": kind for kind in ("choices", *RUNS) if kind not in ("landscape", "compose")},
}
"""Name of a script to the kind of file that it makes."""
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


def open_cell(
    spec: EvaluationSpec, model_card: Path, data_rows: Path, factors: Path, side: str, **options: Any
) -> Cell:
    """Open the cell of an evaluation's spec, with the options of `open_model`, from files that are given."""
    loaded = open_model(spec, model_card.parent, **options)
    return cell_of(spec, loaded, data_rows, FactorStore(factors), side)


class TinyCell:
    """A checkpoint, prepared rows, a store of factors, and a spec for all jobs on them.

    Attributes:
        folder: where everything stands.
        spec: an evaluation spec, to which a job's own keys are added.
    """

    def __init__(self, folder: Path, family: str = "llama", builder: str = "worldfacts", **changes: Any) -> None:
        self.folder = folder
        self.folders = Folders(folder / "results", folder / "cache")
        self.model = tiny.checkpoint(self.folders.path("model", model_key="k").parent, family) / "card.json"
        write_json(self.model, {})
        self.data = self.folders.path("rows", data_key=f"{builder}-k")
        self.cell = {"model": f"tiny-{family}", "dataset": builder}
        self.write_rows(rows(builder))
        self.matrices = list(ARCHITECTURES[family].matrices)
        self.spec: dict[str, Any] = {
            "study": "tiny",
            "model": {"name": f"tiny-{family}", "dtype": "fp32", "architecture": family, "layers": LAYERS, "key": "k"},
            "dataset": {"name": builder, "key": f"{builder}-k", "builder": builder},
            "protocols": ["published", "corrected"],
            "engine": "fast",
            "token_budget": 256,
            "seed": 0,
            "compute": {"device": "cpu", "threads": 1},
            "code": "c",
            "format": FORMAT,
        } | changes

    def write_rows(self, frame: pd.DataFrame) -> None:
        """Write prepared rows in the place of the cell's own."""
        write_parquet(self.data, frame, {})

    def open(self, side: str = "validation", **changes: Any) -> Cell:
        """Open the cell as a job would."""
        spec = read_spec(EvaluationSpec, self.spec | changes, "test")
        return open_cell(spec, self.model, self.data, self.folders.path("factors"), side)

    def job(self, kind: type, spec: dict[str, Any], **paths: Path) -> GivenJob:
        """Return a job on the cell with a spec of some kind."""
        files = {"model": self.model, "rows": self.data} | paths
        return given_job(kind, self.spec | spec, Path(self.folders.cache), **files)

    def run(self, script: str, spec: dict[str, Any], output: str, **given: Path) -> Path:
        """Run a rule script through its own command line, in this process; return a copy of its output.

        Args:
            script: its name.
            spec: what its spec has beside the cell's.
            output: name of the copy.
            given: kind of file (`laser.config.paths`) to one that is copied to where the job looks for it.
        """
        for kind, path in given.items():
            named = self.folders.path(kind, **self.cell, text_key="text")
            if path != named:
                named.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, named)
        self.script(script, spec)
        target = self.folder / output
        target.parent.mkdir(parents=True, exist_ok=True)
        names = self.cell | {"layer": spec.get("layer")}
        shutil.copyfile(self.folders.path(OUTPUTS[script], **names), target)
        return target

    def script(self, script: str, spec: dict[str, Any], shared: dict[str, Any] | None = None) -> None:
        """Run a rule script on the cell's files, which it finds by name; its spec is what is shared and its own."""
        folders = ["--results", str(self.folders.results), "--cache", str(self.folders.cache)]
        log = str(self.folder / f"{script}.log")
        run_script(script, ["--spec", json.dumps((shared or self.spec) | spec), *folders, "--log", log])

    def sweep(self, layer: int, rhos: list[float], matrices: list[str], keep: int | None = None) -> list[Path]:
        """Run the sweep of one layer; return its files, one per rho."""
        self.script("sweep", {"layer": layer, "rhos": rhos, "matrices": matrices} | ({"keep": keep} if keep else {}))
        return [Path(path) for path in self.folders.each("sweep", **self.cell, layer=layer, rho=rhos)]

    def reduce(self, layer: int, rhos: list[float], matrices: list[str]) -> list[Path]:
        """Run the reduction of one layer; return its records, one per rho."""
        shared = {key: self.spec[key] for key in ("model", "compute", "code", "format")}
        self.script("reduce", {"layer": layer, "rhos": rhos, "matrices": matrices}, shared)
        return [Path(path) for path in self.folders.each("reduction", model=self.cell["model"], layer=layer, rho=rhos)]

    def select(self, grid: dict[str, Any], rhos: list[float]) -> Path:
        """Run the selection on the cell's base, sweep and reductions; return its file."""
        shared = {key: self.spec[key] for key in ("model", "dataset", "protocols", "code", "format")}
        self.script("select_intervention", {"grid": grid, "rhos": rhos}, shared)
        return self.folders.path("selection", **self.cell)


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
