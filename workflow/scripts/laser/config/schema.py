"""Reading YAML safely and checking it against a JSON schema, with one message that a person can act on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from laser.errors import UserError, nearest

if TYPE_CHECKING:
    import jsonschema

LARGEST_FILE = 1_000_000
"""Bytes of a YAML file of ours: the paper's study has two thousand."""
LARGEST_VALUE = 100_000
"""Single values in one, where a part that is named again by an alias counts again."""
DEEPEST = 40
LARGEST_NUMBER = 2**53
"""Beyond it a whole number is no longer one in JSON's readers."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML would silently take the last of."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            # A few lines of merges of merges make a mapping that no memory holds.
            raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
        if key in seen:
            problem = f"the key {_short(key)} stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(path: Path) -> Any:
    """Read one YAML document with the safe loader.

    Raises:
        UserError: the file is missing, is not YAML, holds a key twice or asks for Python objects; or it is larger or
            deeper than any study, be it by aliases of aliases.
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
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error)[:300]
        raise UserError(f"{path}:{place} is not valid YAML: {problem}.") from error
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: holds a value that YAML cannot take ({str(error)[:300]}).") from error
    _bounded(value, path)
    return value


def _bounded(value: Any, path: Path) -> None:
    """Refuse what would take a computer's memory or patience to walk through; aliases make much of little text."""
    waiting, count = [(value, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        inner = list(one.values()) if isinstance(one, dict) else list(one) if isinstance(one, list) else []
        count += 1
        if depth > DEEPEST or count + len(waiting) + len(inner) > LARGEST_VALUE:
            raise UserError(f"{path}: is nested more than {DEEPEST} deep or holds more than {LARGEST_VALUE:,} values.")
        waiting += [(each, depth + 1) for each in inner]


def _whole_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Any:
    """Match the whole text: to Python's search, `$` stands before a last line break too."""
    import jsonschema

    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield jsonschema.ValidationError(f"does not match {pattern}")


@cache
def _validator_class() -> Any:
    """Return the validator; the library is needed, and imported, only where something is checked."""
    import jsonschema

    return jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _whole_pattern})


def check(value: Any, schema: dict[str, Any], path: Path) -> None:
    """Check `value` against a JSON schema (draft 2020-12).

    Raises:
        UserError: for the first fault found: file, dotted key, value, what is allowed.
    """
    _only_plain_values(value, (), path)
    validator = _validator_class()(schema)
    faults = sorted(
        validator.iter_errors(value), key=lambda fault: (len(fault.absolute_path), str(fault.absolute_path))
    )
    if faults:
        raise UserError(f"{path}: {_explain(_deepest(faults[0]))}")


def _only_plain_values(value: Any, parts: tuple[Any, ...], path: Path) -> None:
    """Refuse what YAML can write and JSON cannot: dates, .nan, .inf, keys that are no text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(
                    f"{path}: {dotted(parts)} has the key {_short(key)}, which is not text. Put it in quotes."
                )
            _only_plain_values(key, (*parts, "(a key)"), path)
            _only_plain_values(inner, (*parts, key), path)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _only_plain_values(inner, (*parts, place), path)
    elif isinstance(value, str):
        if found := _UNWRITABLE.search(value):
            raise UserError(f"{path}: {dotted(parts)} holds the character {found[0]!a}, which no text may hold.")
    elif isinstance(value, int):
        if abs(value) > LARGEST_NUMBER:
            raise UserError(f"{path}: {dotted(parts)} is a number beyond 2^53, the largest that is read exactly.")
    elif not (value is None or (isinstance(value, float) and math.isfinite(value))):
        raise UserError(
            f"{path}: {dotted(parts)} is {str(value)[:80]}. "
            "Allowed: text, finite numbers, true, false, lists, mappings."
        )


_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\ud800-\udfff]")
"""Control characters, and halves of characters, which UTF-8 cannot write."""


def _deepest(fault: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of the branches of an anyOf, take the fault that goes furthest in: the branch that was meant."""
    while fault.context:
        fault = max(fault.context, key=lambda one: (len(one.absolute_path), one.validator != "type"))
    return fault


def dotted(parts: Any) -> str:
    """Write a path of keys and indices as a person would: models[0].source.kind."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return (text if len(text) <= 200 else f"{text[:197]}...") or "(top level)"


def _explain(fault: jsonschema.ValidationError) -> str:
    key, found = dotted(fault.absolute_path), _short(fault.instance)
    rule, bound = fault.validator, fault.validator_value
    if rule == "additionalProperties":
        known = sorted(fault.schema.get("properties", {}))
        unknown = [name for name in fault.instance if name not in known]
        first = str(unknown[0])[:80]
        return f"unknown key '{first}' in {key}{nearest(first, known)}. Allowed there: {', '.join(known)}."
    if rule == "required":
        missing = [name for name in bound if name not in fault.instance]
        return f"{key} lacks the key '{missing[0]}'. Needed there: {', '.join(bound)}."
    if rule == "enum":
        allowed = [str(one) for one in bound]
        return f"{key} is {found}{nearest(str(fault.instance), allowed)}. Allowed: {', '.join(allowed)}."
    if rule == "type":
        names = bound if isinstance(bound, str) else " or ".join(bound)
        return f"{key} is {found}, which is not of type {names}."
    hint = fault.schema.get("description")
    reasons = {
        "minimum": f"allowed: at least {bound}",
        "maximum": f"allowed: at most {bound}",
        "exclusiveMinimum": f"allowed: more than {bound}",
        "exclusiveMaximum": f"allowed: less than {bound}",
        "pattern": f"it does not have the form {bound}",
        "minItems": f"it needs at least {bound} item(s)",
        "uniqueItems": "an item stands twice",
        "const": f"allowed: {bound}",
    }
    reason = reasons.get(str(rule), str(fault.message).splitlines()[0][:200])
    return f"{key} is {found}: {reason}." + (f" {hint}" if hint else "")


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        # Numbers of thousands of digits, and structures that hold themselves, cannot be shown.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
