"""Checkpoints of the Hugging Face Hub: pinned to a commit, checked byte by byte, linked from the hub's cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io import hub
from laser.io.hub_errors import HubError, MissingFileError
from laser.io.retry import TransientError
from laser.io.transfer import byte_meter
from laser.models.stored import OTHER_WEIGHTS, adapter_note, only_safetensors, weight_files

WEIGHTS = "*.safetensors"


def fetch_hub(
    name: str,
    source: Mapping[str, Any],
    folder: Path,
    side_files: Sequence[str],
    downloads: Path,
    report: Callable[[str], None],
) -> list[str]:
    """Put a checkpoint of the hub into `folder`; return notes for the card.

    The files are downloaded into the hub's local cache and linked from there, or copied across file systems. Files that
    are already in the cache are used without network.

    Args:
        name: the model's name, for messages.
        source: repo and revision (a commit).
        folder: an empty folder.
        side_files: names of the files that are wanted in addition to the weights.
        downloads: folder of the hub's cache, unless the environment sets one or the library's own has the checkpoint.
        report: takes lines about the progress.

    Raises:
        UserError: token, network, repo, revision or file is missing.
    """
    repo, revision = source["repo"], source["revision"]
    cache = _cache(repo, revision, downloads)
    report(f"{repo} at {revision[:8]} from the hub or its local cache")
    files = _whole_in_cache(repo, revision, side_files, cache, report)
    notes = [f"from {repo} at {revision}"]
    if files is None:
        try:
            fetched = hub.fetch(
                repo,
                revision,
                ["config.json", WEIGHTS],
                "model",
                optional=[file for file in side_files if file != "config.json"],
                cache=cache,
                report=report,
                progress=lambda file: byte_meter(f"download of {file}", report),
            )
        except MissingFileError as error:
            if "config.json" not in error.listed:
                what = " It is only an adapter; merge it into its base model." if adapter_note(error.listed) else ""
                raise UserError(f"model '{name}': {error}.{what} Check source.repo and source.revision.") from error
            others = [file for file in error.listed if file.endswith(OTHER_WEIGHTS)]
            raise UserError(
                f"model '{name}': {repo} at {revision} holds no .safetensors file."
                f"{only_safetensors(others) if others else ''} Choose a revision that has them."
            ) from error
        except HubError as error:
            raise _refused(name, error) from error
        files = fetched.paths
        notes += adapter_note(fetched.listed)
    snapshot = next(iter(files.values())).parent
    try:
        wanted = [*weight_files(snapshot), *(file for file in side_files if file in files)]
    except UserError as error:
        raise UserError(f"model '{name}': {str(error).replace(str(snapshot), f'{repo} at {revision}')}") from error
    for file in wanted:
        link(snapshot / file, folder / file)
    return notes


def check(name: str, source: Mapping[str, Any]) -> None:
    """Ask the hub for the header of config.json, unless the local cache holds the whole checkpoint.

    Raises:
        UserError: token, network, repo or revision is missing.
    """
    repo, revision = source["repo"], source["revision"]
    if _whole_in_cache(repo, revision, (), None, lambda line: None) is not None:
        return
    try:
        hub.check(repo, revision, "config.json")
    except HubError as error:
        raise _refused(name, error) from error


def _refused(name: str, error: HubError) -> UserError:
    return UserError(f"model '{name}': {f'source.{error.key}: ' if error.key else ''}{error}.")


def link(origin: Path, target: Path) -> None:
    """Hard-link a file of the cache, or copy it if the file system differs or others could not read it.

    A linked file keeps its mode, because the cache may share the file among many repositories.
    """
    blob = origin.resolve()
    mask = os.umask(0)
    os.umask(mask)
    readable = 0o444 & ~mask
    if blob.stat().st_mode & readable == readable:
        try:
            target.hardlink_to(blob)
            return
        except OSError:
            pass  # another file system, or another user's file
    shutil.copyfile(blob, target)


def _cache(repo: str, revision: str, downloads: Path) -> Path | None:
    """Return the folder of the hub's cache; None for the library's own.

    A home folder is often too small for checkpoints, so the library's own cache is used only if it is set or has the
    files.
    """
    if hub.is_chosen() or hub.cached(repo, revision, "model") is not None:
        return None
    return downloads / "hub"


def _whole_in_cache(
    repo: str, revision: str, side_files: Sequence[str], cache: Path | None, report: Callable[[str], None]
) -> dict[str, Path] | None:
    """Return the files of a commit if all are in the cache, else None.

    Side files are fetched first, so a cache with the weights has them too.
    """
    snapshot = hub.cached(repo, revision, "model", cache)
    if snapshot is None or not (snapshot / "config.json").is_file():
        return None
    try:
        weights = weight_files(snapshot)
    except UserError:
        return None
    files = [*weights, *(file for file in side_files if (snapshot / file).is_file())]
    try:
        for file in files:
            hub.verify(snapshot / file, repo)
    except TransientError as error:
        report(str(error))
        return None
    return {file: snapshot / file for file in files}
