"""A tokenizer that a dataset's own filter needs, from a hub repository or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError, shortened
from laser.io.hub import fetch
from laser.io.hub_errors import HubError
from laser.models.tokenizer import FILE, SETTINGS
from laser.models.tokenizer import load_tokenizer as load_from_folder
from laser.tasks.formats import SourceError


def load_tokenizer(source: Any, where: str) -> Any:
    """Load a tokenizer from a hub model repository or a folder; no code from the repository is run.

    Args:
        source: {kind: hub, repo, revision} or {kind: local, path}.
        where: the option's name, for messages.

    Raises:
        UserError: the source is malformed, or the tokenizer cannot be loaded.
    """
    kind = source.get("kind") if isinstance(source, Mapping) else None
    needed = {"hub": ("repo", "revision"), "local": ("path",)}.get(str(kind))
    if needed is None or any(not source.get(key) for key in needed):
        raise UserError(
            f"{where} is {shortened(source)}. Allowed: {{kind: hub, repo, revision}} or {{kind: local, path}}."
        )
    try:
        if kind == "hub":
            fetched = fetch(source["repo"], source["revision"], [FILE], "model", optional=[SETTINGS])
            folder = fetched.paths[FILE].parent
        else:
            folder = Path(source["path"]).expanduser()
        if not (folder / FILE).is_file():
            raise SourceError(f"there is no {folder / FILE}")
        return load_from_folder(folder)
    except (SourceError, HubError) as error:
        raise UserError(f"{where}: the tokenizer cannot be loaded: {error}.") from error
    except UserError as error:
        raise UserError(f"{where}: {source} is not a tokenizer that can be loaded: {error}") from error
