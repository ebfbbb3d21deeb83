"""Names, copies and links of the report's files: all inside one folder, all relative."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from laser.errors import UserError
from laser.io.files import atomic

LONGEST = 120
"""Largest number of characters of a file name without suffix; file systems allow 255 bytes."""

Link = dict[str, str]
"""A link: `href`, `text`, and `label` if the text alone is not descriptive enough."""


def slug(name: str) -> str:
    """Return a name that is safe as a file name and an HTML id: letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


def unique_slugs(names: Iterable[str]) -> dict[str, str]:
    """Give every name a unique slug; a hash is added if two names would share a slug or if it is too long."""
    listed = list(dict.fromkeys(names))
    plain = {name: slug(name) for name in listed}
    # Case is ignored, because some file systems ignore it.
    shared = [short.lower() for short in plain.values()]
    return {
        name: short
        if short and len(short) <= LONGEST and shared.count(short.lower()) == 1
        else f"{short[:LONGEST]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")
        for name, short in plain.items()
    }


def copy_beside(path: Path, folder: Path, below: str, name: str, endings: Iterable[str]) -> list[Link]:
    """Copy a file and the files beside it with other suffixes; return links to all of them.

    Raises:
        UserError: the file itself does not exist.
    """
    links = []
    for ending in endings:
        source = Path(path).with_suffix(ending)
        if source == Path(path) and not source.is_file():
            raise UserError(f"{source}: does not exist, but the report shows it. Run the rule that makes it.")
        if source.is_file():
            with atomic(folder / below / f"{name}{ending}") as temporary:
                shutil.copyfile(source, temporary)
            links.append({"href": quote(f"{below}/{name}{ending}"), "text": ending[1:].upper()})
    return links


def link_outside(target: Path, folder: Path, root: Path, text: str, label: str = "") -> list[Link]:
    """Return a relative link from the report to a file of the same study; an empty list if there is no such file."""
    target, root = Path(os.path.abspath(target)), Path(os.path.abspath(root))
    if not target.is_relative_to(root) or not target.is_file():
        return []
    href = Path(os.path.relpath(target, os.path.abspath(folder))).as_posix()
    return [{"href": quote(href), "text": text} | ({"label": label} if label else {})]
