"""Checks of local models and datasets before any job starts, from names and headers only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.config.local_models import no_folder
from laser.config.own_rows import GENERIC, LM_EVAL
from laser.config.plan import Plan
from laser.errors import UserError
from laser.io.user_paths import expanded
from laser.models.stored import read_config, weight_files
from laser.tasks.datasets import check_options
from laser.tasks.datasets.generic import layout
from laser.tasks.datasets.lm_eval import check_task
from laser.tasks.formats import SPLIT_FORMATS, SourceError, header
from laser.tasks.sources import file_format, local_paths


def check_planned(plan: Plan) -> None:
    """Check a study's datasets and local models; sources that were already fetched or prepared may be gone.

    Raises:
        UserError: a builder does not have an option, a local folder or file does not exist, or a column is not in its
            file.
    """
    cache = Path(plan.config["cache"])
    for name in plan.models:
        if not (cache / "models" / plan.model_key(name) / "card.json").is_file():
            check_model(plan.model(name), f"study '{plan.study['name']}', model '{name}'")
    for name in plan.datasets:
        where = f"study '{plan.study['name']}', dataset '{name}'"
        entry = plan.dataset(name)
        if entry["builder"] == LM_EVAL:
            _check_task(entry["options"], where)
        check_options(entry["builder"], entry["options"], f"{where}: options")
        if not (cache / "data" / plan.data_key(name) / "card.json").is_file() or _is_there(entry):
            check_sources(entry, where)


def check_model(entry: Mapping[str, Any], where: str) -> None:
    """Check that a local model's folder exists and has config.json and weights."""
    if entry["source"]["kind"] != "local":
        return
    path = entry["source"]["path"]
    folder = Path(expanded(path, f"{where}: source.path"))
    if not folder.is_dir():
        raise UserError(f"{where}: source.path is {no_folder(path, folder)}")
    try:
        read_config(folder)
        weight_files(folder)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _check_task(options: Mapping[str, Any], where: str) -> None:
    try:
        check_task(options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def check_sources(entry: Mapping[str, Any], where: str) -> None:
    """Check that a dataset's files exist if all its sources are local; for the user's own rows, check columns too."""
    sources = entry["sources"]
    if not sources or any(source["kind"] != "local" for source in sources):
        return
    reasons = []
    for source in sources:
        try:
            for path in local_paths(source):
                if entry["builder"] == GENERIC:
                    _check_columns(entry, source, path, where)
            return
        except SourceError as error:
            reasons.append(str(error))
    raise UserError(f"{where}: {'; '.join(reasons)}. Correct the file, or its name.")


def _check_columns(entry: Mapping[str, Any], source: Mapping[str, Any], path: Path, where: str) -> None:
    kind = file_format(source, str(path))
    if kind not in SPLIT_FORMATS:
        raise SourceError(f"{path} is of format {kind}. Own rows are read as {', '.join(SPLIT_FORMATS)}")
    layout(entry["options"], header(path, kind), f"{where}: {path}")


def _is_there(entry: Mapping[str, Any]) -> bool:
    """Return True if all files of a dataset's local sources exist."""
    try:
        return all([local_paths(source) for source in entry["sources"] if source["kind"] == "local"])
    except SourceError:
        return False
