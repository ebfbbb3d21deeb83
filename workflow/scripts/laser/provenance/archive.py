"""A study as one file for a repository such as Zenodo: the same bytes from the same files, on any machine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from laser.errors import UserError
from laser.io.files import atomic, read_json, sha256_file
from laser.provenance.codecheck import CODECHECK, codecheck
from laser.provenance.manifest import MANIFEST, MANIFEST_RUN

LEVEL = 10
"""Compression level of zstd. Another level or version of the library (pinned in envs/) gives other bytes."""
METADATA = ".zenodo.json"
SHOWN = 5


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest. Raises UserError if it is missing, damaged, or names a file outside its folder."""
    if not path.is_file():
        raise UserError(f"{path}: is missing: the study is not finished. Run `make study STUDY={path.parent.name}`.")
    manifest = read_json(path)
    try:
        names = [(str(file["path"]), str(file["sha256"])) for file in manifest["files"]]
        str(manifest["title"]), str(manifest["study"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: is not a manifest ({error!r}). Delete it and run the study again.") from error
    for name, _ in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{path}: names the file '{name}', which is not below {path.parent}.")
    return dict(manifest)


def check_files(folder: Path) -> list[str]:
    """Return the names of all files in a study's two manifests, after checking each against its hash.

    Raises:
        UserError: files are missing or differ; the message names them.
    """
    named = [file for name in (MANIFEST, MANIFEST_RUN) for file in read_manifest(folder / name)["files"]]
    wrong = []
    for file in named:
        path = folder / file["path"]
        if path.is_symlink() or not path.is_file():
            wrong.append(f"{path} is {'a link' if path.is_symlink() else 'missing'}")
        elif sha256_file(path) != file["sha256"]:
            wrong.append(f"{path} differs")
    if wrong:
        more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"{folder}: does not match its manifests: {'; '.join(wrong[:SHOWN])}{more}. Delete those files and run the "
            "study again, which makes them again."
        )
    return sorted(file["path"] for file in named)


def write_archive(folder: Path, citation: dict[str, Any], target: Path) -> None:
    """Write a study's files, its manifests, METADATA and codecheck.yml into a .tar.zst; METADATA also beside it.

    Args:
        folder: the study's folder; the files lie below its name in the archive.
        citation: content of CITATION.cff.
        target: path of the archive.

    Raises:
        UserError: see `check_files`.
    """
    import zstandard

    names = check_files(folder)
    described = json.dumps(zenodo(folder, citation), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    checked = codecheck(folder.name, [file["path"] for file in read_manifest(folder / MANIFEST)["files"]], citation)
    with (
        atomic(target) as temporary,
        temporary.open("wb") as raw,
        zstandard.ZstdCompressor(level=LEVEL).stream_writer(raw, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, text in ((METADATA, described), (CODECHECK, checked)):
            _add(tar, name, io.BytesIO(text.encode()), len(text.encode()))
        for name in sorted([*names, MANIFEST, MANIFEST_RUN]):
            with (folder / name).open("rb") as content:
                _add(tar, f"{folder.name}/{name}", content, (folder / name).stat().st_size)
    with atomic(target.with_name(f"{folder.name}.zenodo.json")) as temporary:
        temporary.write_text(described, encoding="utf-8")


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    """Add a file with a header that does not depend on the machine: fixed time, owner and permissions."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, 0, 0o644
    tar.addfile(header, content)


def zenodo(folder: Path, citation: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that Zenodo needs for an archive.

    Raises:
        UserError: CITATION.cff lacks what is needed.
    """
    try:
        creators = [_creator(author) for author in citation["authors"]]
        licence, version = str(citation["license"]).lower(), str(citation["version"])
    except (KeyError, TypeError) as error:
        raise UserError(f"CITATION.cff: lacks {error}, which the archive's metadata need. Add it.") from error
    manifest = read_manifest(folder / MANIFEST)
    sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    return {
        "upload_type": "dataset",
        "title": f"{manifest['title']} (study {manifest['study']}): results of a replication of LASER",
        "description": f"Per-example results, tables, figures and provenance of the study '{manifest['study']}' of "
        f"{citation.get('title', 'a replication of LASER')}. sha256 of its manifest.json: {sha256}.",
        "creators": creators,
        "license": licence,
        "version": version,
        "keywords": citation.get("keywords", ["LASER", "low-rank approximation", "language models", "replication"]),
        "related_identifiers": [
            {"identifier": "arXiv:2312.13558", "relation": "references", "resource_type": "publication-preprint"}
        ],
    }


def _creator(author: dict[str, Any]) -> dict[str, str]:
    names = [author[key] for key in ("family-names", "given-names") if key in author]
    more = {key: str(author[key]) for key in ("affiliation", "orcid") if key in author}
    return {"name": author.get("name") or ", ".join(names)} | more
