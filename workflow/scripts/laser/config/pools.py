"""Pools of Sokoban rooms, and the policies that are trained and evaluated on them: resolving names and checking fit.

Only its hash decides if a room is on the training or evaluation side (`laser.sokoban.room.side_of`). A policy
reads the training side of its pool, a dataset the evaluation side of its pool.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError, nearest
from laser.io.files import digest

POLICY = "decision_transformer"
BUILDER = "sokoban"
BOXOBAN_SHAPE = (10, 10)
"""Rows and columns of the public Boxoban levels."""

PLAY = {"target_return": 10.0, "step_limit": 120}
"""How a policy is played if its entry does not say: the paper's maximum return, gym-sokoban's step limit."""


def is_policy(entry: Mapping[str, Any]) -> bool:
    """Return True if a model's entry is a policy and not a language model."""
    return bool(entry.get("architecture") == POLICY)


def resolve_pools(study: dict[str, Any], catalogue: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the study with its pools written out where they are named, and check that everything fits.

    Args:
        study: with resolved models and datasets.
        catalogue: config/rooms.yaml.
        path: the study's file, for messages.

    Returns:
        The study; `source.pool` of a policy and `options.pool` of a dataset are the pool's entry with its name and
        without `chunks`, which shape no result; `pools` holds the whole entry of every pool that is used.

    Raises:
        UserError: a pool is unknown or malformed, or models, datasets, pools or artefacts that do not fit.
    """
    study = copy.deepcopy(study)
    known = {**catalogue, **study.pop("pools", {})}
    used: dict[str, dict[str, Any]] = {}

    def named(name: Any, key: str) -> dict[str, Any]:
        if not isinstance(name, str) or name not in known:
            raise UserError(
                f"{path}: {key} is {name!r}{nearest(str(name), known)}, which is no pool of rooms. Known (in "
                f"config/rooms.yaml, or under `pools` in the study): {', '.join(known)}."
            )
        used[name] = {"chunks": 1, **known[name]}
        return {"name": name, **{key: value for key, value in known[name].items() if key != "chunks"}}

    policies = [entry for entry in study["models"] if is_policy(entry)]
    rooms = [entry for entry in study["datasets"] if entry["builder"] == BUILDER]
    for entry in policies:
        _known_source(entry, path)
        entry["source"]["pool"] = named(entry["source"]["pool"], f"source.pool of the model '{entry['name']}'")
        entry["play"] = PLAY | entry.get("play", {})
    for entry in rooms:
        _known_options(entry, path)
        entry["options"]["pool"] = named(entry["options"]["pool"], f"options.pool of the dataset '{entry['name']}'")
    _one_kind(study, policies, rooms, path)
    for model in policies:
        for dataset in rooms:
            _fit(model, dataset, path)
    if policies:
        _no_language(study, path)
    return study | {"pools": used}


def pool_key(pool: Mapping[str, Any]) -> str:
    """Return the name of a pool's folder in the cache, from its resolved entry (with its name, without chunks)."""
    return f"{pool['name']}-{digest(pool, 8)}"


def shape(pool: Mapping[str, Any]) -> tuple[int, int]:
    """Return rows and columns of a pool's rooms."""
    return BOXOBAN_SHAPE if pool["source"] == "boxoban" else (pool["height"], pool["width"])


def _known_source(entry: dict[str, Any], path: Path) -> None:
    source = entry["source"]
    if source.get("kind") != "trained" or source.get("family") != POLICY:
        raise UserError(
            f"{path}: the model '{entry['name']}' has the architecture {POLICY}, but source.kind is "
            f"'{source.get('kind')}' and source.family '{source.get('family')}'. Policies are trained by the pipeline: "
            f"kind trained, family {POLICY} (config/rooms.md)."
        )
    if source["hidden"] % source["heads"]:
        raise UserError(
            f"{path}: the model '{entry['name']}': source.hidden is {source['hidden']} and source.heads "
            f"{source['heads']}. Make hidden a multiple of heads."
        )


def _known_options(entry: dict[str, Any], path: Path) -> None:
    extra = [key for key in entry["options"] if key != "pool"]
    if extra or "pool" not in entry["options"] or entry["sources"]:
        reason = f"options hold '{extra[0]}'" if extra else "it has sources" if entry["sources"] else "it lacks it"
        raise UserError(
            f"{path}: the dataset '{entry['name']}' (builder {BUILDER}) needs exactly one option, pool, and no "
            f"sources, but {reason}. Its rows are the evaluation side of that pool."
        )


def _one_kind(study: dict[str, Any], policies: list[dict[str, Any]], rooms: list[dict[str, Any]], path: Path) -> None:
    """Refuse a study that would ask a language model to play, or a policy to answer."""
    language_models = [entry["name"] for entry in study["models"] if entry not in policies]
    texts = [entry["name"] for entry in study["datasets"] if entry not in rooms]
    if policies and texts:
        raise UserError(
            f"{path}: the model '{policies[0]['name']}' plays Sokoban and cannot answer the dataset '{texts[0]}'. "
            f"A study evaluates every model on every dataset: with policies, all datasets have the builder {BUILDER}."
        )
    if rooms and language_models:
        raise UserError(
            f"{path}: the dataset '{rooms[0]['name']}' holds Sokoban rooms, which the model '{language_models[0]}' "
            f"cannot play. With such a dataset all models are of the architecture {POLICY}."
        )


def _fit(model: dict[str, Any], dataset: dict[str, Any], path: Path) -> None:
    """Check that a policy can see a dataset's rooms, and that it was trained on none of them."""
    trained, asked = model["source"]["pool"], dataset["options"]["pool"]
    sizes = [" x ".join(map(str, shape(pool))) for pool in (trained, asked)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{path}: the model '{model['name']}' is trained on rooms of {sizes[0]} (pool {trained['name']}), but the "
            f"dataset '{dataset['name']}' has rooms of {sizes[1]} (pool {asked['name']}). A policy sees one size."
        )
    if asked["evaluation_share"] > trained["evaluation_share"]:
        raise UserError(
            f"{path}: the dataset '{dataset['name']}' takes evaluation_share {asked['evaluation_share']} of the rooms "
            f"(pool {asked['name']}), the model '{model['name']}' leaves out only {trained['evaluation_share']} (pool "
            f"{trained['name']}): it may be trained on rooms that it is tested on. Give both pools the same share."
        )


def _no_language(study: dict[str, Any], path: Path) -> None:
    """Refuse evaluations and searches that only language models have."""
    for run in ("transfer", "rank_rules", "prompts", "higher_order", "perplexity", "efficacy", "clustered"):
        if run in study:
            raise UserError(f"{path}: the key '{run}' asks for what policies do not have. Leave it out.")
    if "gradient" in study.get("search", ""):
        raise UserError(
            f"{path}: search is '{study['search']}', which ranks matrices of language models only. Leave it out."
        )
