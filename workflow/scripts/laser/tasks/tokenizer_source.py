"""A tokenizer that a dataset's own filter needs, from a hub repository or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError, shortened
from laser.tasks.formats import SourceError
from laser.tasks.hub import fetch

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def load_tokenizer(source: Any, where: str) -> Any:
    """Load a tokenizer from a hub model repository or a folder; no code of the repository is run.

    Args:
        source: {kind: hub, repo, revision} or {kind: local, path}.
        where: the option's name, for messages.

    Raises:
        UserError: it is malformed, or the tokenizer cannot be had.
    """
    from transformers import AutoTokenizer

    kind = source.get("kind") if isinstance(source, Mapping) else None
    needed = {"hub": ("repo", "revision"), "local": ("path",)}.get(str(kind))
    if needed is None or any(not source.get(key) for key in needed):
        raise UserError(
            f"{where} is {shortened(source)}. Allowed: {{kind: hub, repo, revision}} or {{kind: local, path}}."
        )
    try:
        if kind == "hub":
            found = fetch(source["repo"], source["revision"], TOKENIZER_FILES, "model")
            folder = found.paths[TOKENIZER_FILES[0]].parent
        else:
            folder = Path(source["path"])
        if not (folder / TOKENIZER_FILES[0]).is_file():
            raise SourceError(f"there is no {folder / TOKENIZER_FILES[0]}")
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except SourceError as error:
        raise UserError(f"{where}: the tokenizer cannot be had: {error}.") from error
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{where}: {source} is not a tokenizer that can be loaded ({str(error)[:200]}).") from error
