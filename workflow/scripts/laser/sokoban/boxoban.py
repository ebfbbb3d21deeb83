"""The public Boxoban level files: 10 x 10 rooms of four boxes (github.com/google-deepmind/boxoban-levels)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.io.user_paths import expanded
from laser.sokoban.room import Room, parse_room


def read_levels(path: Path | str, sha256: Mapping[str, str] | None = None, limit: int | None = None) -> list[Room]:
    """Read the rooms of a level file, or of all files (*.txt) in a folder, in the order of their names.

    Args:
        path: file or folder. Folders below it are read too.
        sha256: the hex digits of every file by its path below the folder. A file that is not among them is refused.
        limit: how many of the first rooms to read; by default all.

    Raises:
        UserError: a file is missing, has another sha256 than given, or contains something that is not a room.
    """
    root = Path(expanded(str(path), "the path of a pool of Boxoban levels"))
    files = sorted(file for file in root.rglob("*.txt") if file.is_file()) if root.is_dir() else [root]
    if not files or not files[0].is_file():
        raise UserError(
            f"{root}: no level file (*.txt) there. Give the path of a level file, or of a folder with level files."
        )
    if sha256 is not None:
        files = _checked(root, files, sha256)
    rooms: list[Room] = []
    for file in files:
        left = None if limit is None else limit - len(rooms)
        if left is not None and left <= 0:
            break
        rooms += _read_file(file, left)
    return rooms


def _checked(root: Path, files: list[Path], sha256: Mapping[str, str]) -> list[Path]:
    """Return the named files, after checking each against its sha256."""
    named = {file.relative_to(root).as_posix() if root.is_dir() else file.name: file for file in files}
    if unknown := sorted(set(sha256) - set(named)):
        raise UserError(
            f"{root}: has no file {unknown[0]}, for which a sha256 is given. Fetch the file or remove its sha256."
        )
    if extra := sorted(set(named) - set(sha256)):
        raise UserError(f"{root}: no sha256 is given for {extra[0]}. Add it, or remove the file.")
    for name, file in named.items():
        if (digest := sha256_file(file)) != sha256[name].lower():
            raise UserError(f"{file}: its sha256 is {digest}, but {sha256[name]} is expected. Fetch the file again.")
    return list(named.values())


def _read_file(file: Path, limit: int | None) -> list[Room]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as text ({error}).") from error
    rooms: list[Room] = []
    name, rows = "", list[str]()
    for line in [*lines, ";"]:
        if not line.startswith(";"):
            if line:
                rows.append(line)
            continue
        if rows:
            rooms.append(parse_room("\n".join(rows), f"{file}, level {name or len(rooms)}"))
        if limit is not None and len(rooms) >= limit:
            return rooms[:limit]
        name, rows = line[1:].strip(), []
    if not rooms:
        raise UserError(f"{file}: contains no room. A level file has blocks of '; number' and the lines of a room.")
    return rooms
