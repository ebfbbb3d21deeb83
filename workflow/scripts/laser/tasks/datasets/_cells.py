"""Cells of rows of any origin as texts, lists of texts and names of options, with messages that name row and column."""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from laser.errors import UserError, nearest, shortened
from laser.tasks.judging import canonical

ORDER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def cell(row: Mapping[str, Any], column: str) -> Any:
    """Return a row's value in a column; `a.b` looks into an object. None where there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def text(value: Any, where: str, column: str) -> str:
    """Return a cell as text, white space at both ends removed; empty where there is no value.

    Whole numbers that were stored with a fraction, as tables with gaps do, are written without it. Lines end in a line
    feed, whatever system wrote them.

    Raises:
        UserError: the cell is an object or a list.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise UserError(f"{where}, column '{column}': is {shortened(value)}, which is neither a text nor a number.")


def texts(value: Any, where: str, column: str) -> list[str]:
    """Return a cell as a list of texts: a list, a list that is written out in a text, or one text.

    Of an object with the key `text`, as SQuAD's answers and ARC's choices are, that list is taken.

    Raises:
        UserError: what looks like a list cannot be read.
    """
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]"):
        value = _written_list(value.strip(), where, column)
    if hasattr(value, "tolist"):
        value = value.tolist()
    items = list(value) if isinstance(value, list | tuple) else [value]
    return [text(item, where, column) for item in items]


def _written_list(value: str, where: str, column: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            read_value = read(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(read_value, list):
            return read_value
    raise UserError(
        f"{where}, column '{column}': is {shortened(value)}, which begins and ends like a list and cannot be read as "
        'one. Write it as in JSON: ["first", "second"].'
    )


def offered(value: Any, where: str, column: str) -> tuple[list[str], list[str] | None]:
    """Return the options in a cell, and what they are called where the cell says so, else None.

    Beside lists (`texts`) there are the objects of published tasks: lists of texts and of names (ARC), a list of
    objects with a text and a name each (CommonsenseQA), and options by their letters (MedQA).
    """
    if isinstance(value, str) and value.strip().startswith("{") and value.strip().endswith("}"):
        value = _written_object(value.strip())
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple) and value and all(_is_named_text(item) for item in value):
        value = {key: [item[key] for item in value] for key in ("text", "label")}
    if isinstance(value, Mapping) and "text" not in value and all(_is_letter(name) for name in value):
        # Parquet gives every object the same keys, of which some have no value.
        value = {name: option for name, option in value.items() if option is not None}
        value = {"text": list(value.values()), "label": list(value)}
    return texts(value, where, column) if value is not None else [], _labels(value)


def _written_object(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_named_text(item: Any) -> bool:
    return isinstance(item, Mapping) and {"text", "label"} <= set(item)


def _is_letter(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z]", name.strip()) is not None


def _labels(value: Any) -> list[str] | None:
    given = value.get("label") if isinstance(value, Mapping) else None
    given = given.tolist() if given is not None and hasattr(given, "tolist") else given
    return [str(name).strip() for name in given] if isinstance(given, list | tuple) else None


def position(name: str, how: str, options: Sequence[str], names: Sequence[str]) -> int | None:
    """Return which option an answer names; None if it names none.

    Args:
        name: the answer's cell.
        how: letter, index or text.
        options: the row's options; an empty one has no text in its cell and cannot be named.
        names: what the options are called: A, B, C, …, unless the row says otherwise.
    """
    if how == "letter":
        bare = re.sub(r"^\(?(\w+)[).:]?$", r"\1", name)
        wanted = [each.casefold() for each in names]
        at = wanted.index(bare.casefold()) if bare.casefold() in wanted else -1
    elif how == "index":
        # A table with gaps writes the index 1 as 1.0.
        at = int(float(name)) if re.fullmatch(r"\d{1,6}(\.0+)?", name) else -1
    else:
        at = _same_text(name, options)
    return at if 0 <= at < len(options) and options[at] else None


def _same_text(name: str, options: Sequence[str]) -> int:
    """Return which option a text is, else -1: the same text, or the only one that differs in case or form alone."""
    if name in options:
        return options.index(name)
    alike = [index for index, option in enumerate(options) if option and _form(option) == _form(name)]
    return alike[0] if len(alike) == 1 else -1


def _form(name: str) -> str | float:
    """Return what two ways of writing the same option share: a number's value, else the text in one case."""
    if re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?", name):
        return float(name)
    return canonical(" ".join(name.split()))


def fits(answers: Iterable[tuple[str, Sequence[str], Sequence[str]]], how: str) -> bool:
    """Return True if every (answer, options, names) names one of its options in this way."""
    return all(position(name, how, options, names) is not None for name, options, names in answers)


PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def placeholders(template: str) -> list[str]:
    """Return the names in braces of a prompt's template."""
    return [match[1].strip() for match in PLACEHOLDER.finditer(template) if match[1] is not None]


def check_template(template: str, known: Sequence[str], where: str) -> None:
    """Refuse a template that names no column, or one that there is not.

    Raises:
        UserError: names the place in braces and what is allowed.
    """
    allowed = ", ".join(f"{{{name}}}" for name in known)
    if not placeholders(template):
        raise UserError(f"{where} is {shortened(template)}, which has no column in braces. Allowed: {allowed}.")
    for name in placeholders(template):
        if name not in known:
            raise UserError(
                f"{where} holds '{{{name}}}'{nearest(name, known)}, which is no column. Allowed: {allowed}; braces "
                "that are text are doubled: {{ and }}."
            )


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with values in place of the names in braces; doubled braces become single ones."""

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else values[match[1].strip()]

    return PLACEHOLDER.sub(value, template)
