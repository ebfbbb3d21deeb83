"""How a study searches its grid: all of it, only where gradients point, as a race, or both of the latter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXHAUSTIVE, GRADIENT, RACING = "exhaustive", "gradient", "racing"
"""Methods of search; `gradient-racing` is the last two together."""


def searches_by(study: Mapping[str, Any], method: str) -> bool:
    """Return True if a study searches by a method, alone or together with another one."""
    return method in study["search"].split("-")


def lacks_candidates(study: Mapping[str, Any]) -> str:
    """Return what an artefact about all candidates lacks if they race; an empty text if they do not."""
    if not searches_by(study, RACING):
        return ""
    return (
        f"every candidate's score on all validation rows, but `search: {study['search']}` stops those that cannot win. "
        f"Set search to {EXHAUSTIVE}, or leave the artefact out"
    )
