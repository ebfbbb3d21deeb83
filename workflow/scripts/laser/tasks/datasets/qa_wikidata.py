"""BIG-bench qa_wikidata: sentences about Wikidata entities, to be completed.

The paper counts 20,321 rows. The task as published has 20,321 distinct rows too, but only 18,812 of them have one
target, and the released code keeps just those. Which of the two the paper evaluated is not known; the card of the
prepared dataset states the difference.
"""

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
    """Build one example per row with one target; prompt and answer are stripped."""
    return _bigbench.build("qa_wikidata", read, strip=True)
