"""Reading the YAML files that a person writes: plain values only, and nothing that runs code or fills the memory."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from laser.errors import UserError, shortened

LARGEST_FILE = 1_000_000
"""Largest size of a file in bytes; the paper's study has two thousand."""
MOST_VALUES = 100_000
"""Most values in a file; a part that an alias repeats counts again."""
DEEPEST = 40
"""Most levels of nesting; Python's own limit is reached soon after."""

_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which UTF-8 cannot encode."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice; YAML would silently take the last value."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            # A few lines of nested merges make a mapping that no memory can hold.
            raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
        if key in mapping:
            problem = f"the key {shortened(key)} occurs twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(path: Path) -> Any:
    """Read one YAML document with the safe loader.

    Raises:
        UserError: the file is missing, is not YAML, holds a key twice or asks for Python objects; or it is larger or
            deeper than any study, possibly through nested aliases.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise UserError(f"{path}: is larger than {LARGEST_FILE:,} bytes, which no such file needs to be.")
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}).") from error
    try:
        value = _UniqueKeyLoader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error)[:300]
        raise UserError(f"{path}:{where} is not valid YAML: {problem}.") from error
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: holds a value that YAML cannot take ({str(error)[:300]}).") from error
    _check_size(value, path)
    return value


def _check_size(value: Any, path: Path) -> None:
    """Refuse a value that is too large or too deep to walk through; aliases make huge values out of little text."""
    waiting, count = [(value, 0)], 0
    while waiting:
        current, depth = waiting.pop()
        inner = (
            list(current.values()) if isinstance(current, dict) else list(current) if isinstance(current, list) else []
        )
        count += 1
        if depth > DEEPEST or count + len(waiting) + len(inner) > MOST_VALUES:
            raise UserError(f"{path}: is nested more than {DEEPEST} deep or holds more than {MOST_VALUES:,} values.")
        waiting += [(item, depth + 1) for item in inner]


def check_plain(value: Any, path: Path, parts: tuple[Any, ...] = ()) -> None:
    """Refuse what YAML can write and JSON cannot: dates, .nan, .inf, keys that are not text.

    Args:
        value: what was read.
        path: its file, for messages.
        parts: keys and indices that lead to the value.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(
                    f"{path}: {dotted(parts)} has the key {shortened(key)}, which is not text. Put it in quotes."
                )
            check_plain(key, path, (*parts, "(a key)"))
            check_plain(inner, path, (*parts, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            check_plain(inner, path, (*parts, index))
    elif isinstance(value, str):
        if character := _UNWRITABLE.search(value):
            raise UserError(f"{path}: {dotted(parts)} holds the character {character[0]!a}, which no text may hold.")
    elif not (value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        raise UserError(
            f"{path}: {dotted(parts)} is {str(value)[:80]}. "
            "Allowed: text, finite numbers, true, false, lists, mappings."
        )


def dotted(parts: Any) -> str:
    """Write a path of keys and indices as a person would: models[0].source.kind."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return (text if len(text) <= 200 else f"{text[:197]}...") or "(top level)"
