"""What a gradient search leaves for inspection. Apart from the search, so that a sweep does not depend on its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def surviving(ranking: Mapping[str, Any], keep: int) -> dict[str, set[tuple[int, str]]]:
    """Return, per protocol, the (layer, matrix) places that a ranking leaves for inspection: its first `keep`.

    Args:
        ranking: the content of a gradients file.
        keep: how many places.
    """
    return {
        protocol: {(place["layer"], place["matrix"]) for place in ranked["places"][:keep]}
        for protocol, ranked in ranking["protocols"].items()
    }
