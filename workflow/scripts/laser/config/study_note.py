"""A note of the file that the results of a study are made from, beside their folder: results/<study>.study.json.

The folder has the file's base name, so two study files of the same name in different folders would overwrite each
other's results. A changed file keeps its results; another file of the same name is refused.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from laser.config.study import study_path
from laser.errors import UserError
from laser.io.files import sha256_file, write_json


def note_of(results: str | Path) -> Path:
    """Return the path of the note of a study, given the folder of its results."""
    return Path(f"{results}.study.json")


def write_note(results: str | Path, study: str, root: Path) -> None:
    """Write down which file the study is read from.

    Args:
        results: the folder of the study's results.
        study: the config key `study`.
        root: the repository; a file below it is noted by its path there.
    """
    file = study_path(study, root)
    write_json(note_of(results), {"file": _named(file, root), "sha256": sha256_file(file)})


def check_note(results: str | Path, study: str, root: Path) -> None:
    """Raise UserError if the results were made from another file of the same base name; without a note, do nothing.

    A file that was moved without changes counts as the same file. Arguments are those of `write_note`.
    """
    note, file = note_of(results), study_path(study, root)
    if not Path(results).exists():
        return
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        name, sha256 = str(noted["file"]), str(noted["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if name in (_named(file, root), str(file)) or sha256 == sha256_file(file):
        return
    raise UserError(
        f"config key 'study' is '{study}', but {results} holds the results of another study file of the same name, "
        f"{name}. Rename one of the two files, or give this one a folder of its own: --config results=<folder>. If "
        f"{results} is to be made from {file} from now on, delete {note}."
    )


def _named(file: Path, root: Path) -> str:
    """Return a file's path: below the repository or the working folder, which may be moved or copied, or absolute."""
    path = Path(os.path.abspath(file))
    for folder, prefix in ((Path(os.path.abspath(root)), ""), (Path.cwd(), "./")):
        if path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return path.as_posix()
