"""One model of a study in several variants: noise levels, seeds and depths of a model that the pipeline trains."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

from laser.errors import UserError

ORDER = ("kind", "noise", "frequent_share", "layers", "training", "corpus", "seed")
"""Order of the values in a variant's name."""

KINDS = {"generic": "", "wrong": ", false answers", "filler": ", filler"}
"""Kind of noise of a model's corpus to what is written after the model's family."""


def expand(entries: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Replace every entry that has `vary` by one entry per combination, named after its values.

    `noise` sets corpus.noise.level; `kind` and `frequent_share` set the keys of these names there. `seed` sets
    training.seed, and corpus.seed if there is one; `training` and `corpus` set them apart; `layers` sets the depth. A
    value equal to the entry's own makes a variant too: its name then says which one it is.

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
        of_corpus = [name for name in ("noise", "kind", "frequent_share", "corpus") if name in entry["vary"]]
        if of_corpus and "corpus" not in entry["source"]:
            raise UserError(
                f"{path}: models[{index}].vary.{of_corpus[0]} is given for '{entry['name']}', which is trained on no "
                "corpus. Vary its layers or seed."
            )
        names = [name for name in ORDER if name in entry["vary"]]
        for values in itertools.product(*(entry["vary"][name] for name in names)):
            expanded.append(_variant(entry, dict(zip(names, values, strict=True))))
    return expanded


def _variant(entry: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    variant = copy.deepcopy(entry)
    del variant["vary"]
    # A kind of noise names itself; other values follow the name of their key.
    parts = [value if name == "kind" else f"{name}{value:g}" for name, value in values.items()]
    variant["name"] = "-".join([entry["name"], *parts])
    source = variant["source"]
    if "noise" in values:
        source["corpus"]["noise"]["level"] = values["noise"]
    for name in ("kind", "frequent_share"):
        if name in values:
            source["corpus"]["noise"][name] = values[name]
    if "training" in values:
        source["training"]["seed"] = values["training"]
    if "corpus" in values:
        source["corpus"]["seed"] = values["corpus"]
    if "seed" in values:
        source["training"]["seed"] = values["seed"]
        if "corpus" in source:
            source["corpus"]["seed"] = values["seed"]
    if "layers" in values:
        source["layers"] = variant["layers"] = values["layers"]
        variant.pop("parameters", None)
    return variant


def facts(entry: dict[str, Any]) -> dict[str, Any]:
    """Return noise level, seeds, depth and family (with what is special about its noise) of a trained model's entry."""
    source = entry["source"]
    noise = source["corpus"]["noise"]
    even = ", the same noise at every frequency" if noise["frequent_share"] == 1 else ""
    return {
        "family": source["family"] + KINDS[noise.get("kind", "generic")] + even,
        "noise": noise["level"],
        "seed": source["training"]["seed"],
        "corpus_seed": source["corpus"]["seed"],
        "layers": source["layers"],
    }
