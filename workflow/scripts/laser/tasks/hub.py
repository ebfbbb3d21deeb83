"""Files of a hub repository at one commit, fetched with few retries and errors that say why."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from laser.tasks.formats import SourceError

COMMIT = re.compile(r"[0-9a-f]{40}")
WAITS = (0.5, 2.0)
"""Seconds before the second and third attempt."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class HubFiles:
    """Fetched files.

    Attributes:
        commit: the 40-hex commit that they are of.
        paths: name in the repository to local path, in the order asked for.
    """

    commit: str
    paths: dict[str, Path]


class Retry(Exception):
    """A passing fault: worth another attempt."""


def attempts(action: Callable[[], Result]) -> Result:
    """Run `action` up to three times while it raises `Retry`; then raise SourceError with the last reason."""
    for wait in WAITS:
        try:
            return action()
        except Retry:
            time.sleep(wait)
    try:
        return action()
    except Retry as error:
        raise SourceError(f"{error} ({len(WAITS) + 1} attempts)") from error


def fetch(repo: str, revision: str, names: Sequence[str], repo_type: str) -> HubFiles:
    """Fetch files of one commit into the hub's cache and return where they are.

    HF_ENDPOINT and HF_HUB_CACHE are read at call time. A file of a pinned commit that is in the cache is taken from
    there without asking the hub. A branch is resolved to its commit first, so that all files are of the same one.

    Args:
        repo: `owner/name`.
        revision: a commit, or a branch or tag.
        names: paths in the repository; `*` and `?` match as in a shell, and several matches are taken sorted.
        repo_type: `dataset` or `model`.

    Raises:
        SourceError: with the reason, for the list of sources.
    """
    commit, listed = revision, list[str]()
    if COMMIT.fullmatch(revision) is None or any(_is_pattern(name) for name in names):
        commit, listed = attempts(lambda: _list(repo, revision, repo_type))
    paths: dict[str, Path] = {}
    for name in names:
        found = [name]
        if _is_pattern(name):
            found = sorted(fnmatch.filter(listed, name))
            if not found:
                raise SourceError(f"404: {repo} at {revision} has no file that matches {name}")
        for one in found:
            paths[one] = _fetch_one(repo, commit, one, repo_type)
    return HubFiles(commit, paths)


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _endpoint() -> str | None:
    value = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return value or None


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


def _list(repo: str, revision: str, repo_type: str) -> tuple[str, list[str]]:
    """Return the commit that a revision stands for, and its files."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint())
    info = _call(lambda: api.repo_info(repo, revision=revision, repo_type=repo_type), repo, revision)
    if not info.sha:
        raise SourceError(f"{repo}: the hub does not say which commit {revision} is")
    return info.sha, [one.rfilename for one in getattr(info, "siblings", None) or []]


def _fetch_one(repo: str, commit: str, name: str, repo_type: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, cache_dir=_cache(), revision=commit, repo_type=repo_type)
    if isinstance(cached, str):
        return Path(cached)
    url = hf_hub_url(repo, name, repo_type=repo_type, revision=commit, endpoint=_endpoint())

    # Asked first, and the answer to a 5xx waited for here, because the library goes on retrying for half a minute.
    attempts(lambda: _call(lambda: get_hf_file_metadata(url, endpoint=_endpoint()), repo, commit, name))

    def download() -> Path:
        cache, endpoint = _cache(), _endpoint()
        path = hf_hub_download(repo, name, repo_type=repo_type, revision=commit, cache_dir=cache, endpoint=endpoint)
        return Path(path)

    # Once the file is being sent the library resumes a cut connection by itself, five times.
    return attempts(lambda: _call(download, repo, commit, name, on_cut=SourceError))


def _call(
    action: Callable[[], Result],
    repo: str,
    revision: str,
    name: str = "",
    on_cut: type[Exception] = Retry,
) -> Result:
    """Run one call to the hub; turn its exceptions into `Retry` or `SourceError`, faults of the line into `on_cut`."""
    from huggingface_hub import errors

    what = f"{repo} at {revision}" + (f", file {name}" if name else "")
    try:
        return action()
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"404: {repo} has no revision {revision}") from error
    except errors.LocalEntryNotFoundError as error:
        raise SourceError(f"{what}: {_first_line(error.__cause__ or error)}") from error
    except errors.EntryNotFoundError as error:
        raise SourceError(f"404: {repo} at {revision} has no file {name}") from error
    except errors.GatedRepoError as error:
        raise SourceError(f"{_status(error)}: {repo} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(f"{_status(error)}: the hub has no public {repo}; for a private one set HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code >= 500 or error.response.status_code in (408, 429):
            raise Retry(f"{_status(error)}: the hub failed on {what}") from error
        raise SourceError(f"{_status(error)}: the hub refused {what}") from error
    except errors.OfflineModeIsEnabled as error:
        raise SourceError(f"{what} is not in the cache, and HF_HUB_OFFLINE is set") from error
    except (errors.HTTPError, OSError) as error:
        raise on_cut(f"{what}: {type(error).__name__}: {_first_line(error)}") from error
    except errors.HFValidationError as error:
        raise SourceError(f"{what}: {_first_line(error)}") from error


def _status(error: Exception) -> str:
    return str(getattr(getattr(error, "response", None), "status_code", 404))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
