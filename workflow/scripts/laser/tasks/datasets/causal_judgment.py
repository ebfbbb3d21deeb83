"""BIG-bench causal_judgment: how a typical person judges causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.tasks.datasets import _bigbench
from laser.tasks.example import Example

SPLITS, COLUMNS = _bigbench.SPLITS, _bigbench.COLUMNS
OPTIONS: tuple[str, ...] = ()


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per row with one target; the prompt is the task's input, unchanged."""
    return _bigbench.build("causal_judgment", read)
