"""What went wrong between us and the Hugging Face Hub, in the words of the person who can put it right."""

from __future__ import annotations

import errno
from typing import Any

from laser.errors import UserError

TOKEN = (
    "create one at https://huggingface.co/settings/tokens and give it as HF_TOKEN=… in the environment, "
    "or once with `hf auth login`"
)


class TransientError(Exception):
    """A failure that another attempt may not have; its text becomes the user's message after the last one."""


def explained(name: str, repo: str, revision: str, error: Exception) -> Exception:
    """Return what to raise for an error of the hub library.

    Args:
        name: the model's name.
        repo: owner/name.
        revision: the pinned commit.
        error: what the library raised; the errors that caused it count too, because the library hides an HTTP status
            behind a missing entry of its cache.

    Returns:
        A UserError, a TransientError where another attempt may help, or the error itself where it is none of the hub's.
    """
    from huggingface_hub import errors, get_token

    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None and inner not in causes:
        causes.append(inner)

    def first(*kinds: type[BaseException]) -> Any:
        return next((one for one in causes if isinstance(one, kinds)), None)

    # By name, because the HTTP library under the hub library is not ours to import.
    names = {kind.__name__ for one in causes for kind in type(one).__mro__}
    page = f"https://huggingface.co/{repo}"

    def user(text: str) -> UserError:
        return UserError(f"model '{name}': {text}")

    if first(errors.GatedRepoError):
        if get_token() is None:
            return user(f"{repo} is gated and no token was given. Accept its licence at {page}, then {TOKEN}.")
        return user(f"{repo} is gated and the token given has no access. Ask for access at {page} with its account.")
    if first(errors.RevisionNotFoundError):
        return user(f"source.revision {revision} does not exist in {repo}. Its commits: {page}/commits/main.")
    if first(errors.RepositoryNotFoundError):
        return user(
            f"source.repo {repo} does not exist on the hub, or is private. Check its spelling; "
            f"if it is private, {TOKEN}."
        )
    if first(errors.RemoteEntryNotFoundError):
        return user(f"{repo} at {revision} lacks a needed file such as config.json. Check source.revision.")
    if first(errors.OfflineModeIsEnabled):
        return user(
            f"{repo} at {revision[:8]} is not whole in the hub's local cache, and HF_HUB_OFFLINE forbids the network. "
            "Unset HF_HUB_OFFLINE, or fill the cache (HF_HOME) on a machine with network."
        )
    answer = first(errors.HfHubHTTPError)
    status = answer.response.status_code if answer is not None else None
    if status in (401, 403):
        return user(f"the hub refuses the token for {repo} (HTTP {status}). Give a valid one: {TOKEN}.")
    disk = first(OSError)
    if disk is not None and disk.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return user(
            f"the hub's local cache (HF_HOME) cannot be written: {disk.strerror}. Free space there or set HF_HOME."
        )
    later = "Try again later; what is already in the hub's local cache is kept"
    if status is not None:
        return TransientError(f"the hub answers HTTP {status} for {repo}. {later}")
    if names & {"RemoteProtocolError", "ReadError", "ReadTimeout"} or "Consistency check" in str(error):
        return TransientError(f"the connection to the hub was cut while {repo} was downloaded. {later}")
    if "TransportError" in names:
        return TransientError(
            f"the hub cannot be reached for {repo}, and its local cache does not hold {revision[:8]} whole. Connect to "
            "a network (HTTPS_PROXY, HF_ENDPOINT), or fill the cache (HF_HOME) elsewhere and set HF_HUB_OFFLINE=1"
        )
    if isinstance(error, OSError | ValueError):
        line = (str(error).splitlines() or ["no message"])[0]
        return user(f"{repo} cannot be downloaded ({type(error).__name__}: {line}). Check HF_ENDPOINT and HF_HOME.")
    return error
