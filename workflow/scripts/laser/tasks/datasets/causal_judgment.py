"""BIG-bench causal_judgment: how a typical person judges causes."""

from functools import partial

from laser.tasks.datasets import _bigbench

SPLITS, COLUMNS, OPTIONS = _bigbench.SPLITS, _bigbench.COLUMNS, _bigbench.OPTIONS

build = partial(_bigbench.build, "causal_judgment")
