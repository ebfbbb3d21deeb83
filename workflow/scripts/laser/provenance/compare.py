"""Comparison of the files of two runs of a study."""

from __future__ import annotations

from pathlib import Path

from laser.io.files import sha256_file
from laser.provenance.archive import read_manifest
from laser.provenance.manifest import MANIFEST


def differences(first: Path, second: Path) -> list[str]:
    """Hash the deterministic files of two study folders, and return a line for every one that differs or is missing.

    Raises:
        UserError: a folder has no manifest.
    """
    hashes = []
    for folder in (first, second):
        names = [file["path"] for file in read_manifest(folder / MANIFEST)["files"]]
        hashes.append({name: sha256_file(folder / name) if (folder / name).is_file() else None for name in names})
    lines = []
    for name in sorted({*hashes[0], *hashes[1]}):
        for folder, known in zip((first, second), hashes, strict=True):
            if known.get(name) is None:
                lines.append(f"{name}: not in {folder}{' any more' if name in known else ''}")
        if None not in (hashes[0].get(name), hashes[1].get(name)) and hashes[0][name] != hashes[1][name]:
            lines.append(f"{name}: differs")
    return lines
