"""The paper's datasets and ours, one module each; all produce the same kind of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from laser.errors import UserError, nearest, shortened
from laser.tasks.datasets import (
    bios_gender,
    bios_profession,
    causal_judgment,
    counterfact,
    epistemic_reasoning,
    fever,
    generic,
    hotpotqa,
    lm_eval,
    qa_wikidata,
    sokoban,
    truthfulqa,
    web_of_lies,
    worldfacts,
)
from laser.tasks.example import Example, check_example

_UNFILLED = re.compile(r"\{+\s*(subject|object|relation|entity|question|answer|claim|statement|prompt)\s*\}+")
"""A placeholder of a template that was never filled in, by its usual names; other braces may be text."""

Read = Callable[[str], list[dict[str, Any]]]
"""Gives a split's rows in the hub's field names and order."""

BUILDERS: dict[str, ModuleType] = {
    "bios_gender": bios_gender,
    "bios_profession": bios_profession,
    "causal_judgment": causal_judgment,
    "counterfact": counterfact,
    "epistemic_reasoning": epistemic_reasoning,
    "fever": fever,
    "generic": generic,
    "hotpotqa": hotpotqa,
    "lm_eval": lm_eval,
    "qa_wikidata": qa_wikidata,
    "sokoban": sokoban,
    "truthfulqa": truthfulqa,
    "web_of_lies": web_of_lies,
    "worldfacts": worldfacts,
}
"""Builder name to module. A module has `SPLITS` (that it reads), `COLUMNS` (that it needs) and `OPTIONS` (known)."""


def module(name: str) -> ModuleType:
    """Return a builder's module. Raises UserError for an unknown name."""
    if name not in BUILDERS:
        raise UserError(f"builder is '{name}'{nearest(name, BUILDERS)}. Allowed: {', '.join(sorted(BUILDERS))}.")
    return BUILDERS[name]


def check_options(name: str, options: Mapping[str, Any], where: str) -> None:
    """Refuse an option that a builder does not have; the message begins with `where`."""
    known = module(name).OPTIONS
    for key in options:
        if key not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise UserError(f"{where} hold {shortened(key)}{nearest(str(key)[:80], known)}. Allowed: {allowed}.")


def build(name: str, options: Mapping[str, Any], read: Read) -> tuple[list[Example], dict[str, int]]:
    """Build a dataset's examples, in order.

    Args:
        name: the builder, a key of `BUILDERS`.
        options: the dataset entry's options; an unknown one is refused.
        read: gives the rows of one split.

    Returns:
        The examples, and how many rows each of the builder's filters dropped.

    Raises:
        UserError: an unknown builder or option, or a row that lacks a field.
    """
    builder = module(name)
    check_options(name, options, f"dataset options of builder '{name}'")
    try:
        examples, dropped = builder.build(options, read)
    except UserError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"builder '{name}' cannot use the rows of its source ({what}). They need the fields of the hub's copy, "
            "with values of their types."
        ) from error
    for example in examples:
        where = f"builder '{name}', example '{str(example.id)[:80]}'"
        check_example(example, where)
        unfilled = None if getattr(builder, "FILLED", False) else _UNFILLED.search(example.prompt)
        if unfilled:
            raise UserError(
                f"{where}: the prompt is {shortened(example.prompt)}: nothing fills in '{unfilled[0]}'. "
                "Write the question out in the rows of the source."
            )
    return examples, dropped
