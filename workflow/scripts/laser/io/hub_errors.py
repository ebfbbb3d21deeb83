"""Errors of the Hugging Face Hub as messages that tell the user what to do."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from laser.io.retry import TransientError

TOKEN = (
    "create one at https://huggingface.co/settings/tokens and give it as HF_TOKEN=… in the environment, "
    "or once with `hf auth login`"
)


class HubError(Exception):
    """Why the hub's files cannot be fetched; the text is a user's message without its full stop.

    Attributes:
        key: the part of the request that is wrong: `repo`, `revision`, or an empty text.
    """

    key = ""


class UnknownRepoError(HubError):
    """There is no such repository, or it may not be read."""

    key = "repo"


class UnknownRevisionError(HubError):
    """The repository has no such revision."""

    key = "revision"


class MissingFileError(HubError):
    """The repository has no such file.

    Attributes:
        listed: the files that it has; empty if the hub was not asked.
    """

    def __init__(self, repo: str, revision: str, name: str, listed: Sequence[str] = ()) -> None:
        pattern = "*" in name or "?" in name
        super().__init__(f"404: {repo} at {revision} has no file {'that matches ' if pattern else ''}{name}")
        self.listed = tuple(listed)


def explained(repo: str, revision: str, name: str, error: Exception) -> Exception:
    """Return what to raise for an error of the hub library.

    Args:
        repo: owner/name.
        revision: a commit, branch or tag.
        name: the file's name, or an empty text.
        error: what the library raised; the errors that caused it count too, because the library hides an HTTP status
            behind a missing entry of its cache.

    Returns:
        A HubError, or a TransientError if another attempt may help.
    """
    from huggingface_hub import errors, get_token

    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None and inner not in causes:
        causes.append(inner)

    def first(*kinds: type[BaseException]) -> Any:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    # By name, because the HTTP library that the hub library uses is not one of our dependencies.
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    page = f"https://huggingface.co/{repo}"
    what = f"{repo} at {revision}" + (f", file {name}" if name else "")
    answer = first(errors.HfHubHTTPError)
    status = answer.response.status_code if answer is not None and answer.response is not None else None

    address = str(answer.response.url) if status is not None else ""
    if "xet" in address.lower() or any("xet" in f"{type(cause).__module__} {cause}".lower() for cause in causes):
        return TransientError(
            f"the Xet client failed on {what} ({_line(error)}). Where a proxy or mirror does not know Xet, set "
            "HF_HUB_DISABLE_XET=1"
        )
    if first(errors.GatedRepoError):
        if get_token() is None:
            return HubError(
                f"{status}: {repo} is gated and no token was given. Accept its licence at {page}, then {TOKEN}"
            )
        return HubError(
            f"{status}: {repo} is gated and the token given has no access. Ask for access at {page} with its account"
        )
    if first(errors.RevisionNotFoundError):
        return UnknownRevisionError(
            f"404: {repo} has no revision {revision}: it does not exist in {repo}. Its commits: {page}/commits/main"
        )
    if first(errors.RepositoryNotFoundError):
        return UnknownRepoError(
            f"{status}: the hub has no public {repo}: it does not exist, or is private. Check its spelling; if it is "
            f"private, {TOKEN}"
        )
    if first(errors.RemoteEntryNotFoundError):
        return MissingFileError(repo, revision, name)
    if first(errors.OfflineModeIsEnabled):
        return HubError(
            f"{what} is not complete in the hub's local cache, and HF_HUB_OFFLINE forbids the network. "
            "Unset HF_HUB_OFFLINE, or fill the cache (HF_HOME) on a machine with network"
        )
    if status in (401, 403):
        return HubError(f"{status}: the hub refuses the token for {repo} (HTTP {status}). Give a valid one: {TOKEN}")
    if first(ImportError) and "socks" in str(error).lower():
        return HubError(
            f"{what} cannot be fetched: a SOCKS proxy is set (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), for which the "
            "package socksio is missing. Install it (pip install socksio), or set an HTTP proxy"
        )
    disk = first(OSError)
    if disk is not None and disk.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return HubError(
            f"the hub's local cache (HF_HOME) cannot be written: {disk.strerror}. Free space there or set HF_HOME"
        )
    if status is not None:
        if status >= 500 or status in (408, 429):
            return TransientError(f"{status}: the hub failed on {what} (HTTP {status})")
        return HubError(f"{status}: the hub refused {what} (HTTP {status})")
    if kinds & {"RemoteProtocolError", "ReadError", "ReadTimeout"} or "Consistency check" in str(error):
        return TransientError(f"the connection to the hub was cut while {what} was downloaded")
    if "TransportError" in kinds:
        return TransientError(
            f"the hub cannot be reached for {what} ({_transport(causes)}), and its local cache is incomplete. "
            "Connect to a network (HTTPS_PROXY, HF_ENDPOINT), or fill the cache (HF_HOME) elsewhere and set "
            "HF_HUB_OFFLINE=1"
        )
    return HubError(f"{what} cannot be downloaded ({_line(error)}). Check HF_ENDPOINT and HF_HOME")


def _transport(causes: Sequence[BaseException]) -> str:
    kinds = (cause for cause in causes if any(kind.__name__ == "TransportError" for kind in type(cause).__mro__))
    return next((type(cause).__name__ for cause in kinds), "no connection")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:200]}"
