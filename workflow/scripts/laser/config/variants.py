"""One model of a study in several variants: noise levels, seeds and depths of a model that the pipeline trains."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

from laser.errors import UserError


def expand(entries: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Replace every entry that has `vary` by one entry per combination, named after its values.

    `noise` sets corpus.noise.level; `seed` sets training.seed, and corpus.seed where there is one; `layers` sets the
    depth. A value equal to the entry's own makes a variant too: its name then says which one it is.

    Raises:
        UserError: the entry is not of source kind `trained`.
    """
    expanded: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        if "vary" not in entry:
            expanded.append(entry)
            continue
        if entry["source"]["kind"] != "trained":
            raise UserError(
                f"{path}: models[{index}].vary is given for '{entry['name']}', whose source is of kind "
                f"'{entry['source']['kind']}'. Only models that the pipeline trains (kind trained) can be varied."
            )
        if "noise" in entry["vary"] and "corpus" not in entry["source"]:
            raise UserError(
                f"{path}: models[{index}].vary.noise is given for '{entry['name']}', which is trained on no corpus. "
                "Vary its layers or seed."
            )
        names = [name for name in ("noise", "layers", "seed") if name in entry["vary"]]
        for values in itertools.product(*(entry["vary"][name] for name in names)):
            expanded.append(_variant(entry, dict(zip(names, values, strict=True))))
    return expanded


def _variant(entry: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    variant = copy.deepcopy(entry)
    del variant["vary"]
    variant["name"] = "-".join([entry["name"], *(f"{name}{value:g}" for name, value in values.items())])
    source = variant["source"]
    if "noise" in values:
        source["corpus"]["noise"]["level"] = values["noise"]
    if "seed" in values:
        source["training"]["seed"] = values["seed"]
        if "corpus" in source:
            source["corpus"]["seed"] = values["seed"]
    if "layers" in values:
        source["layers"] = variant["layers"] = values["layers"]
        variant.pop("parameters", None)
    return variant


def facts(entry: dict[str, Any]) -> dict[str, Any]:
    """Return noise level, seed, depth and family of a trained model's entry."""
    source = entry["source"]
    return {
        "family": source["family"],
        "noise": source["corpus"]["noise"]["level"],
        "seed": source["training"]["seed"],
        "layers": source["layers"],
    }
