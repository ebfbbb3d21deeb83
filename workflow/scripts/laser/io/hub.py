"""The client of the Hugging Face Hub, for models and data: files of one commit, through the hub's cache, checked.

Environment: HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_DISABLE_XET.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from laser.io.files import sha256_file
from laser.io.hub_errors import HubError, MissingFileError, explained
from laser.io.retry import TransientError, attempts

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class HubFiles:
    """Fetched files.

    Attributes:
        commit: the files' commit, 40 hex digits.
        paths: name in the repository to local path, in the order asked for.
        listed: all files of the repository at that commit; empty if the hub was not asked.
    """

    commit: str
    paths: dict[str, Path]
    listed: tuple[str, ...] = ()


def fetch(
    repo: str,
    revision: str,
    names: Sequence[str],
    repo_type: str,
    optional: Sequence[str] = (),
    cache: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[str], Progress] | None = None,
) -> HubFiles:
    """Fetch files of one commit into the hub's cache and return where they are.

    A file of a pinned commit that is in the cache is taken from there without asking the hub. A branch is resolved to
    its commit first, so that all files are of the same one. Every file is checked against the hash that the hub
    announced. An interrupted download is resumed within one call; a process that is stopped starts that file
    again.

    Args:
        repo: `owner/name`.
        revision: a commit, or a branch or tag.
        names: paths in the repository; `*` and `?` match within one part of a path, and several matches are taken
            sorted.
        repo_type: `dataset` or `model`.
        optional: names of files that are fetched, before the others, if the repository has them.
        cache: the cache's folder; the library's own if it is not given.
        report: takes a line of text before a further attempt.
        progress: given a file's name, returns what is called with (bytes so far, bytes in all).

    Raises:
        HubError: a file cannot be fetched; the text says why.
    """
    try:
        commit, listed = revision, tuple[str, ...]()
        if COMMIT.fullmatch(revision) is None or optional or any(_is_pattern(name) for name in names):
            commit, listed = attempts(lambda: _list(repo, revision, repo_type), report)
        wanted = [name for name in optional if name in listed]
        for name in names:
            matches = sorted(file for file in listed if _matches(file, name)) if _is_pattern(name) else [name]
            if not matches or (listed and not set(matches) <= set(listed)):
                raise MissingFileError(repo, revision, name, listed)
            wanted += [match for match in matches if match not in wanted]
        return HubFiles(
            commit,
            {name: _fetch_one(repo, commit, name, repo_type, cache, report, progress) for name in wanted},
            listed,
        )
    except TransientError as error:
        raise HubError(f"{error}. Try again later; complete files in the hub's local cache are kept") from error


def list_files(repo: str, revision: str, repo_type: str) -> tuple[str, ...]:
    """Return the paths of all files of a repository at a revision.

    Raises:
        HubError: they cannot be listed; the text says why.
    """
    try:
        return attempts(lambda: _list(repo, revision, repo_type))[1]
    except TransientError as error:
        raise HubError(str(error)) from error


def check(repo: str, revision: str, name: str) -> None:
    """Ask the hub for the header of one file of a model.

    Raises:
        HubError: token, network, repository, revision or file is missing.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, revision=revision, endpoint=_endpoint())
    try:
        _call(lambda: get_hf_file_metadata(url, timeout=10, endpoint=_endpoint()), repo, revision, name)
    except TransientError as error:
        raise HubError(str(error)) from error


def cached(repo: str, revision: str, repo_type: str, cache: Path | None = None) -> Path | None:
    """Return the folder in the hub's cache with files of a commit, complete or not; None if there is none."""
    from huggingface_hub import constants

    root = cache or Path(_cache() or constants.HF_HUB_CACHE)
    folder = root / f"{repo_type}s--{repo.replace('/', '--')}" / "snapshots" / revision
    return folder if folder.is_dir() else None


def is_chosen() -> bool:
    """Return True if the environment says where the hub's cache is."""
    return any(os.environ.get(name) for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"))


def verify(path: Path, repo: str) -> None:
    """Check a file of the cache against the hash that the hub announced, which is the name of its blob.

    The hub names large files by sha256 and small ones by git's blob id. The blob may itself be a link into the store
    that repositories share, where files are named by another hash, so only one link is followed. A file that differs
    is removed from the cache.

    Raises:
        TransientError: the file differs.
    """
    if not path.is_symlink():
        return
    blob = path.parent / path.readlink()
    if SHA256.fullmatch(blob.name):
        actual = sha256_file(blob)
    elif COMMIT.fullmatch(blob.name):
        content = blob.read_bytes()
        actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if actual != blob.name:
        shared = blob.resolve()
        for each in (path, blob, shared):
            each.unlink(missing_ok=True)
        raise TransientError(
            f"{path.name} of {repo} came with other bytes than the hub announced (hash {blob.name}, received {actual}) "
            "and was removed; if this happens again, something between here and the hub changes the file"
        )


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _matches(file: str, pattern: str) -> bool:
    return file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


def _list(repo: str, revision: str, repo_type: str) -> tuple[str, tuple[str, ...]]:
    """Return the commit that a revision stands for, and its files."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint())
    info = _call(lambda: api.repo_info(repo, revision=revision, repo_type=repo_type), repo, revision)
    if not info.sha:
        raise HubError(f"{repo}: the hub does not say which commit {revision} is")
    return info.sha, tuple(sibling.rfilename for sibling in getattr(info, "siblings", None) or [])


def _fetch_one(
    repo: str,
    commit: str,
    name: str,
    repo_type: str,
    cache: Path | None,
    report: Callable[[str], None],
    progress: Callable[[str], Progress] | None,
) -> Path:
    """Return the path of one file in the cache, after downloading it if needed and checking it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()
    folder = str(cache) if cache is not None else _cache()

    def download() -> Path:
        cached_path = try_to_load_from_cache(repo, name, cache_dir=folder, revision=commit, repo_type=repo_type)
        if isinstance(cached_path, str):
            path = Path(cached_path)
        else:
            # Ask for the header first: the download itself retries a 5xx for half a minute, instead of our pauses.
            url = hf_hub_url(repo, name, repo_type=repo_type, revision=commit, endpoint=_endpoint())
            _call(lambda: get_hf_file_metadata(url, endpoint=_endpoint()), repo, commit, name)
            path = Path(_call(fetch_file, repo, commit, name))
        verify(path, repo)
        return path

    def fetch_file() -> str:
        return hf_hub_download(
            repo,
            name,
            repo_type=repo_type,
            revision=commit,
            cache_dir=folder,
            endpoint=_endpoint(),
            tqdm_class=_meter(progress(name) if progress else lambda done, total: None),
        )

    return attempts(download, report)


def _call(action: Callable[[], Result], repo: str, revision: str, name: str = "") -> Result:
    """Run one call to the hub; its exceptions become `HubError` or `TransientError`."""
    try:
        return action()
    except (HubError, TransientError):
        raise
    except Exception as error:
        raise explained(repo, revision, name, error) from error


def _meter(show: Progress) -> Any:
    """Return a progress bar class for the library that reports the bytes to `show`."""
    from tqdm.auto import tqdm

    reached = [0]

    class Meter(tqdm):
        """Counts without showing a bar."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            self.bytes, self.counts_bytes = int(options.get("initial") or 0), options.get("unit") == "B"
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            """Count, and report progress beyond the maximum so far."""
            self.bytes += int(n or 0)
            if self.counts_bytes and self.bytes > reached[0]:
                reached[0] = self.bytes
                show(self.bytes, int(self.total or 0))

    return Meter
