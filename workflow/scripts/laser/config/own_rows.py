"""Datasets of the user's own rows: the keys of their entries become options and sources, as of other datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.io.user_paths import expanded

GENERIC, LM_EVAL = "generic", "lm_eval"
BUILDERS = (GENERIC, LM_EVAL)
SIDES = ("validation", "test")
ASKED = ("scoring", "new_tokens")
"""Options that shape how rows are asked and scored, apart from what the rows themselves hold."""

_KEYS = {
    GENERIC: ("columns", "prompt", "answer_is", "scoring", "new_tokens"),
    LM_EVAL: ("task", "new_tokens"),
}


def asked_options(entry: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a dataset's entry says about asking and scoring; None if only its builder decides."""
    if entry["builder"] not in BUILDERS:
        return None
    return {key: entry["options"][key] for key in ASKED if key in entry["options"]}


def local_names(source: Mapping[str, Any]) -> list[str]:
    """Return the names of all files of a local source."""
    given = source["files"].values() if "files" in source else [source["path"]]
    return [name for part in given for name in ([part] if isinstance(part, str) else part)]


def file_hashes(entry: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Return the sha256 of every file of an entry's local sources and task; absent files as in `known`."""
    names: list[str] = []
    for source in entry["sources"]:
        if source["kind"] == "local":
            names += local_names(source)
    task = entry["options"].get("task", "")
    if task.endswith((".yaml", ".yml")):
        names.append(task)
    hashes = {}
    for name in names:
        path = Path(expanded(name, "a source's path"))
        if path.is_file():
            hashes[name] = sha256_file(path)
        elif name in known:
            hashes[name] = known[name]
    return hashes


def own_rows(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a dataset's entry with `source` among its sources and the keys of own rows among its options.

    Args:
        entry: as in the study, merged with the catalogue's.
        where: file and key, for messages.

    Raises:
        UserError: a key that its builder does not have, or both `source` and `sources`.
    """
    entry = dict(entry)
    builder = entry["builder"]
    allowed = _KEYS.get(builder, ())
    options = dict(entry.get("options", {}))
    for key in sorted({key for keys in _KEYS.values() for key in keys} & set(entry)):
        if key not in allowed:
            has = f"It has: {', '.join(allowed)}." if allowed else f"Builders with such keys: {', '.join(BUILDERS)}."
            raise UserError(f"{where} has the key '{key}', which the builder '{builder}' does not have. {has}")
        options[key] = entry.pop(key)
    if "source" in entry:
        if entry.get("sources"):
            raise UserError(f"{where} has both 'source' and 'sources'. Give one of them.")
        entry["sources"] = [entry.pop("source")]
    if builder in BUILDERS:
        entry["options"] = options
        entry["sources"] = [_named_rows(source, where) for source in entry.get("sources", [])]
        if builder == GENERIC and not entry["sources"]:
            raise UserError(
                f"{where} has no source. Say where its rows are: source: {{kind: local, files: my/rows.csv}}, or of "
                "the hub: {kind: hub, repo, config, split, revision}."
            )
    return entry


def splits_of(sources: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the splits that are read from sources of own rows: `rows`, or `validation` and `test`."""
    files = sources[0].get("files") if sources else None
    return SIDES if isinstance(files, dict) and set(files) == set(SIDES) else ("rows",)


def _named_rows(source: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a source whose `files` name all its rows, or those of both sides.

    Raises:
        UserError: they name other splits.
    """
    files = source.get("files")
    if isinstance(files, str):
        return {key: value for key, value in source.items() if key != "files"} | {"path": files}
    if isinstance(files, list):
        return source | {"files": {"rows": files}}
    if isinstance(files, dict) and set(files) != set(SIDES):
        if len(files) != 1:
            raise UserError(
                f"{where}.source.files has the keys {', '.join(map(str, files))}. Allowed: one file, which is split "
                "into a fifth for validation and the rest for testing; or files: {validation: …, test: …}."
            )
        return source | {"files": {"rows": next(iter(files.values()))}}
    return source
