"""Every edit of the released editor on the three tiny checkpoints: kept rank, zeros, norms, sum, first element."""

import csv
import math
from functools import cache

import pytest

from laser.io.files import read_json
from laser.models.adapter import locate, read_matrix
from laser.reduction.edit import edited_weight
from laser.reduction.interventions import Intervention
from laser.reduction.svd import exact_svd, kept_rank
from tests.golden import SHARED, matrices

EDITS = SHARED / "golden" / "edits.csv"
LINES = [line for line in csv.DictReader(EDITS.open()) if line["parameter"]] if EDITS.is_file() else []
pytestmark = pytest.mark.skipif(not LINES, reason=f"no {EDITS}: set LASER_SHARED to the folder that holds golden/")


@cache
def weight(family, name, layer):
    folder = SHARED / "golden/models" / family
    (matrix,) = matrices(family, name)
    return read_matrix(folder, locate(read_json(folder / "config.json"), layer, matrix))


@cache
def factors(family, name, layer):
    return exact_svd(weight(family, name, layer))


def test_every_line():
    checked = 0
    for line in LINES:
        place = line["family"], line["lname"], int(line["lnum"])
        matrix = weight(*place)
        kind = {"rank-reduction": "svd", "dropout": "pruning", "zero": "zero"}[line["intervention"]]
        rate = float(line["rate"] or 10)
        one = Intervention("u_in", place[2], round(1 - rate / 10, 9), kind)
        edited = edited_weight(matrix, one, factors(*place) if kind == "svd" else None)
        where = ",".join(line.values())
        if line["rank"]:
            assert kept_rank(one.rank, matrix.shape) == int(line["rank"]), where
        for key, value in {
            "fro_before": matrix.norm(),
            "fro_after": edited.norm(),
            "fro_diff": (matrix - edited).norm(),
            "sum": edited.sum(),
            "first": edited[0, 0],
        }.items():
            column = next((name for name in line if name.startswith(key)), None)
            if column and line[column]:
                assert math.isclose(float(value), float(line[column]), rel_tol=1e-4, abs_tol=2e-4), (where, key)
                checked += 1
        zeros = next((name for name in line if "zero" in name), None)
        if zeros and line[zeros] and kind == "pruning":
            assert int((edited == 0).sum()) == int(float(line[zeros])), where
    assert checked > 4 * len(LINES)
