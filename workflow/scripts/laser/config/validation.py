"""Checking settings against their model: one message that names file, key, value, what is allowed and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from laser.config.yaml_files import check_plain, dotted
from laser.errors import UserError, nearest

_TYPES = {
    "string_type": "string (text)",
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "bool_type": "boolean (true or false)",
    "list_type": "array (a list)",
    "dict_type": "object (keys with values)",
    "model_type": "object (keys with values)",
    "model_attributes_type": "object (keys with values)",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check(value: Any, kind: Any, path: Path) -> None:
    """Check a value as it was read from a YAML file.

    Args:
        value: what was read.
        kind: the model (`laser.config.settings`, `laser.config.entries`).
        path: the file, for messages.

    Raises:
        UserError: the value is not valid; the message names file, dotted key, value and what is allowed, for the
            outermost fault.
    """
    check_plain(value, path)
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        first = min(faults, key=lambda fault: (len(_keys(fault)), list(map(str, _keys(fault)))))
        raise UserError(f"{path}: {_explain(dotted(_keys(first)), first)}") from None


def _keys(fault: Mapping[str, Any]) -> list[str | int]:
    """Return the keys and indices that lead to a fault; tags of unions, in parentheses, are not keys."""
    return [part for part in fault["loc"] if not (isinstance(part, str) and re.fullmatch(r"\(\w+\)|\[key\]", part))]


def _explain(key: str, fault: Mapping[str, Any]) -> str:
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "unknown_key":
        unknown, allowed = str(context["key"])[:80], context["allowed"]
        return f"unknown key '{unknown}' in {key}{nearest(unknown, allowed)}. Allowed there: {', '.join(allowed)}."
    if kind == "missing_key":
        return f"{key} lacks the key '{context['key']}'. Needed there: {', '.join(context['needed'])}."
    if kind == "unknown_kind":
        return _unknown_kind(key, given, context["key"], context["allowed"].split(", "))
    hint = f" {context['hint']}" if "hint" in context else ""
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return f"{key} is {_shown(given)}{nearest(str(given), allowed)}. Allowed: {', '.join(allowed)}.{hint}"
    if kind in _TYPES:
        return f"{key} is {_shown(given)}, which is not of type {_TYPES[kind]}.{hint}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        reason = f"allowed: {words} {int(bound) if float(bound).is_integer() else bound}"
    elif kind == "too_short":
        least = context["min_length"]
        reason = f"it needs at least {least} item{'' if least == 1 else 's'}"
    else:
        reason = {
            "string_too_short": "it is empty",
            "string_too_long": f"it has more than {context.get('max_length')} characters",
            "string_pattern_mismatch": "it does not have the form that is needed",
            "item_twice": "an item occurs twice",
        }.get(kind, str(fault["msg"]).splitlines()[0][:200])
    return f"{key} is {_shown(given)}: {reason}.{hint}"


def _unknown_kind(key: str, given: Any, name: str, allowed: Sequence[str]) -> str:
    """Say what is wrong with a mapping whose kind is determined by the value of one of its keys."""
    if not isinstance(given, dict):
        return f"{key} is {_shown(given)}, which is not of type {_TYPES['model_type']}."
    if name not in given:
        return f"{key} lacks the key '{name}'. Allowed values: {', '.join(allowed)}."
    value = given[name]
    return f"{key}.{name} is {_shown(value)}{nearest(str(value), allowed)}. Allowed: {', '.join(allowed)}."


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        # Numbers of thousands of digits, and structures that contain themselves, cannot be shown.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
