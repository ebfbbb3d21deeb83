"""BIG-bench epistemic_reasoning: whether a hypothesis follows from a premise about what people know and think."""

from functools import partial

from laser.tasks.datasets import _bigbench

SPLITS, COLUMNS, OPTIONS = _bigbench.SPLITS, _bigbench.COLUMNS, _bigbench.OPTIONS

build = partial(_bigbench.build, "epistemic_reasoning")
