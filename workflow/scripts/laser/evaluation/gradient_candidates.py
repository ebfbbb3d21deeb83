"""The places that a gradient search leaves for inspection. In a separate module, sweeps do not depend on its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def surviving(ranking: Mapping[str, Any], keep: int) -> dict[str, set[tuple[int, str]]]:
    """Return, per protocol, the (layer, matrix) places that a ranking leaves for inspection: its first `keep`.

    Args:
        ranking: the content of a gradients file.
        keep: number of places.
    """
    return {
        protocol: {(place["layer"], place["matrix"]) for place in ranked["places"][:keep]}
        for protocol, ranked in ranking["protocols"].items()
    }
