"""Models with terms of use: they take part in a study only if the study or the command line accepts the terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from laser.errors import UserError, nearest

KEYS = ("terms_accepted", "optional")
"""Keys of a model's entry in a study that are only about its terms; a resolved study does not have them."""


def check_names(accepted: Sequence[str], models: Sequence[Mapping[str, Any]], catalogue: Mapping[str, Any]) -> None:
    """Refuse a name in the configuration's `accept_terms` that is a typo, or that of a model without terms.

    Any other name may be that of another study's model, because all studies share the configuration.

    Args:
        accepted: the names.
        models: the study's entries.
        catalogue: config/models.yaml.
    """
    known = [name for name, entry in catalogue.items() if "terms" in entry]
    known += [entry["name"] for entry in models if "terms" in entry and entry["name"] not in known]
    without = {*catalogue, *(entry["name"] for entry in models)}
    for name in accepted:
        if name not in known and (name in without or nearest(name, known)):
            raise UserError(
                f"config key 'accept_terms' has '{name}', which is no model with terms of use{nearest(name, known)}. "
                f"Models with terms: {', '.join(known) or 'none'}."
            )


def in_study(
    models: Sequence[Mapping[str, Any]], accepted: Sequence[str], path: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the entries of models that take part, without `KEYS`, and the names of those that are left out.

    Args:
        models: the study's entries.
        accepted: names of models whose terms are accepted for every study.
        path: the study's file, for messages.

    Raises:
        UserError: the terms of a model that is not optional are not accepted, or no model is left.
    """
    kept, left_out = [], []
    for entry in models:
        name, terms = entry["name"], entry.get("terms")
        if terms is None and (given := [key for key in KEYS if key in entry]):
            raise UserError(
                f"{path}: the model '{name}' has the key '{given[0]}', but no terms of use that could be accepted. "
                f"Leave '{given[0]}' out."
            )
        if terms is None or entry.get("terms_accepted") or name in accepted:
            kept.append({key: value for key, value in entry.items() if key not in KEYS})
        elif entry.get("optional"):
            left_out.append(name)
        else:
            raise UserError(f"{path}: {_unaccepted(name, terms)} Or leave the model out of the study.")
    if not kept:
        raise UserError(f"{path}: no model is left. {_unaccepted(left_out[0], models[0]['terms'])}")
    return kept, left_out


def _unaccepted(name: str, terms: str) -> str:
    return (
        f"the model '{name}' is fetched only where its terms of use are accepted: {terms}. Read them; to accept them "
        f"add terms_accepted: true to the model's entry in the study, or '{name}' to accept_terms in "
        f"config/config.yaml; for one command: snakemake --config accept_terms={name}, or --accept-terms {name} of "
        "preview and cost."
    )
