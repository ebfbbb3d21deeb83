"""Protocol `published` against per-example outputs of the released code on three tiny checkpoints."""

import os

import pytest

from laser.engine import fast, naive
from laser.reduction.factors import FactorStore
from tests import golden

if "LASER_GOLDEN" in os.environ and not golden.cells():
    pytest.fail(f"LASER_GOLDEN is {golden.FOLDER}, which has no index.csv", pytrace=False)

pytestmark = pytest.mark.skipif(
    not golden.cells(), reason=f"no golden folder at {golden.FOLDER}: set LASER_GOLDEN (or LASER_SHARED) to one"
)


ENGINES = {"naive": naive.evaluate, "fast": fast.evaluate}
ONE_PER_STYLE = ("counterfact", "hotpot", "fever")
"""The ten best, generated text, options: what the tests of the engine hold to the reference engine on every model.

The reference engine answers these alone, and every dataset where LASER_GOLDEN names the folder (`make golden`).
"""
CASES = [
    (*cell, engine)
    for cell in golden.cells() or [("none", "none")]
    for engine in ENGINES
    if engine == "fast" or cell[1] in ONE_PER_STYLE or "LASER_GOLDEN" in os.environ
]


@pytest.mark.parametrize(("family", "dataset", "engine"), CASES)
def test_agrees_with_released_code(family, dataset, engine, tmp_path, capsys):
    result = golden.compare(family, dataset, ENGINES[engine], FactorStore(tmp_path))
    with capsys.disabled():
        print(f"\n{family:8} {dataset:20} agreed {result.agreed}/{result.total}, near ties {len(result.ties)}", end="")
    assert result.total > 0
    assert not result.faults, "\n".join(result.faults[:20])
    assert len(result.ties) <= 0.02 * result.total, "\n".join(result.ties[:20])
