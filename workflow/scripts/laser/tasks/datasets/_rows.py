"""Reading fields of source rows, with one message if a row is malformed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from laser.errors import UserError, nearest, shortened


def field(row: Mapping[str, Any], key: str, where: str, kind: type | tuple[type, ...] = str) -> Any:
    """Return `row[key]`, where `key` may be dotted (``mc2_targets.choices``).

    Args:
        row: a source row.
        key: the field's name in the hub's copy.
        where: dataset, split and row, for the message.
        kind: allowed Python types.

    Raises:
        UserError: the field is missing or of another type.
    """
    value: Any = row
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = sorted(value) if isinstance(value, Mapping) else []
            raise UserError(
                f"{where}: lacks the field '{key}'{nearest(part, known)}; the row has: {', '.join(known) or 'none'}. "
                "The source must have the field names of the hub's copy, or name its `format`."
            )
        value = value[part]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        names = " or ".join(allowed.__name__ for allowed in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{where}: the field '{key}' is {str(value)[:60]!r}, which is not of type {names}.")
    return value


PLACE = re.compile(r"\{+\s*[A-Za-z_]*\s*\}+")
"""A placeholder: {}, {subject}, {{ answer }}."""


def fill(template: str, subject: str, where: str, key: str) -> str:
    """Return a template with the subject in place of {}.

    Raises:
        UserError: the template lacks {}, or has another placeholder.
    """
    if "{}" not in template:
        raise UserError(
            f"{where}: the field '{key}' is {shortened(template)}, which lacks {{}}. Put {{}} for the subject."
        )
    check_filled(template.replace("{}", ""), "", where, key)
    return template.replace("{}", subject)


def check_filled(prompt: Any, subject: str, where: str, key: str) -> None:
    """Refuse a prompt that still has a placeholder; the subject itself may contain braces.

    Raises:
        UserError: names the placeholder.
    """
    unfilled = PLACE.search(str(prompt).replace(subject, "") if subject else str(prompt))
    if unfilled:
        raise UserError(
            f"{where}: the field '{key}' is {shortened(prompt)}: nothing fills in '{unfilled[0]}'. "
            "Write the prompt out; only the rewrite's prompt takes {}, for the subject."
        )


def with_stop(text: str, stops: str = ".?", stop: str = ".") -> str:
    """Return `text`, with `stop` appended unless its last character is one of `stops`."""
    return text if text.endswith(tuple(stops)) else text + stop


def prompt_fixes(options: Mapping[str, Any], known: Collection[str], builder: str) -> set[str]:
    """Return the named prompt fixes that are switched on.

    Raises:
        UserError: `prompt_fix` is not a list, or names a fix that the dataset does not have.
    """
    given = options.get("prompt_fix", [])
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UserError(f"options.prompt_fix of builder '{builder}' is {shortened(given)}: it must be a list of names.")
    for name in given:
        if not isinstance(name, str) or name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise UserError(f"options.prompt_fix of builder '{builder}' holds '{str(name)[:80]}'. Allowed: {allowed}.")
    return set(given)
