"""A copy of a checkpoint on the node's own disk, so that many jobs of one node read shared storage once.

The copy is addressed by the content of the checkpoint's card, made under a lock, checked against every sha256, and
moved into place when complete. If that is not possible, the shared folder is used, and the log says why. Results do
not depend on it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from laser.cluster.environment import NODE_LOCAL
from laser.errors import UserError
from laser.io.files import digest, read_json, sha256_file

SPARE_BYTES = 1_000_000_000
"""Bytes that are left free on the node's disk, which others use too."""


def _say(text: str) -> None:
    print(f"[node_local] {text}", file=sys.stderr, flush=True)


def local_folder(folder: Path, copy: bool = True, say: Callable[[str], None] = _say) -> Path:
    """Return the folder from which a checkpoint should be read on this node.

    Args:
        folder: the checkpoint's folder in the shared cache.
        copy: True to make a copy if there is none; jobs that read only a part of the checkpoint use an existing one.
        say: takes a line of text: that a copy is made, or why not.

    Returns:
        A complete copy below the folder that LASER_NODE_LOCAL names (config key `node_local`); `folder` itself if none
        is named, or it cannot be used, or has too little room.
    """
    root = os.environ.get(NODE_LOCAL, "")
    if not root:
        return folder
    try:
        return _local(folder, _user_folder(root), copy, say)
    except (OSError, UserError, _UnusableError) as error:
        say(f"{folder.name}: read from shared storage, because {error}")
        return folder


class _UnusableError(Exception):
    """Why the node's disk is not used."""


def _user_folder(root: str) -> Path:
    """Return this user's folder below the configured one; nobody else can write there."""
    if "$" in root:
        raise _UnusableError(f"node_local is '{root}', and the variable is not set on this node")
    user_folder = Path(root) / f"laser-models-{os.getuid()}"
    user_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = user_folder.lstat()
    if user_folder.is_symlink() or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise _UnusableError(f"{user_folder} belongs to somebody else, or others can write to it")
    return user_folder


def _local(folder: Path, user_folder: Path, copy: bool, say: Callable[[str], None]) -> Path:
    from filelock import FileLock

    card = folder / "card.json"
    files: dict[str, str] = read_json(card).get("files", {})
    if not files:
        raise _UnusableError(f"{card} names no files")
    target = user_folder / f"{folder.name}-{digest(files, 16)}"
    sizes = {name: (folder / name).stat().st_size for name in files}
    if _whole(target, sizes):
        return target
    if not copy:
        return folder
    with FileLock(user_folder / f".{target.name}.lock"):
        if _whole(target, sizes):  # another job made it while this one waited
            return target
        for left in [target, *user_folder.glob(f".{target.name}.*.part")]:  # damaged, or of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        needed, free = sum(sizes.values()) + SPARE_BYTES, shutil.disk_usage(user_folder).free
        if free < needed:
            raise _UnusableError(f"{user_folder} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed")
        say(f"copying {folder.name} ({sum(sizes.values()) / 1e9:.2f} GB) to {user_folder}")
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=user_folder) as temporary:
            part = Path(temporary) / "model"
            part.mkdir()
            _copy(folder, part, files)
            shutil.copyfile(card, part / "card.json")
            part.rename(target)
    return target


def _whole(target: Path, sizes: Mapping[str, int]) -> bool:
    """Return True if a copy is complete by its sizes; touch it, so that cleaners of old files do not remove it.

    The contents were checked when the copy was made; reading them again would cost what the copy saves.
    """
    try:
        if any((target / name).stat().st_size != size for name, size in sizes.items()):
            return False
        for name in (*sizes, "card.json"):
            os.utime(target / name)
    except OSError:
        return False
    return True


def _copy(folder: Path, part: Path, files: Mapping[str, str]) -> None:
    for name, wanted in files.items():
        shutil.copyfile(folder / name, part / name)
        if sha256_file(part / name) != wanted:
            raise _UnusableError(
                f"{folder / name} does not have the sha256 on its card: delete {folder} and fetch it again"
            )
