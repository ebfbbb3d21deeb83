"""Every edit of the released editor on the three tiny checkpoints: kept rank, zeros, norms, sum, first element."""

import csv
from functools import cache

import pytest
import torch

from laser.io.files import read_json
from laser.models.adapter import locate, read_matrix
from laser.reduction.edit import edited_weight
from laser.reduction.interventions import Intervention, kept_rank
from laser.reduction.svd import exact_svd
from tests.golden import SHARED, matrices

EDITS = SHARED / "golden" / "edits.csv"
LINES = list(csv.DictReader(EDITS.open(encoding="utf-8"))) if EDITS.is_file() else []
KINDS = {"rank-reduction": "svd", "dropout": "pruning", "zero": "zero"}
pytestmark = pytest.mark.skipif(not LINES, reason=f"no {EDITS}: set LASER_SHARED to the folder that holds golden/")


@cache
def place(family, name, layer):
    folder = SHARED / "golden/models" / family
    (matrix,) = matrices(family, name)
    return folder, locate(read_json(folder / "config.json"), layer, matrix), matrix


@cache
def weight(family, name, layer):
    folder, location, _ = place(family, name, layer)
    return read_matrix(folder, location)


@cache
def factors(family, name, layer):
    return exact_svd(weight(family, name, layer))


@pytest.mark.parametrize("family", ["gptj", "llama", "roberta"])
@pytest.mark.parametrize("intervention", KINDS)
def test_every_line(family, intervention):
    lines = [line for line in LINES if (line["family"], line["intervention"]) == (family, intervention)]
    assert lines
    for line in lines:
        where = family, line["lname"], int(line["lnum"])
        kind = KINDS[intervention]
        _, location, matrix = place(*where)
        original = weight(*where)
        one = Intervention(matrix, where[2], round(1 - float(line["rate"] or 10) / 10, 9), kind)
        edited = edited_weight(original, one, factors(*where) if kind == "svd" else None)
        if not line["parameter"]:  # pruning at rate 0 changes nothing
            assert float(line["rate"]) == 0 and torch.equal(edited, original), line
            continue
        assert location.parameter == line["parameter"]
        assert "x".join(map(str, original.shape)) == line["shape"]
        if kind == "svd":
            assert kept_rank(one.rho, original.shape) == int(line["rank"]), line
        if kind != "svd" or line["rank"] == "0":
            assert int((edited == 0).sum()) == int(line["zeros"]), line
        found = {
            "fro_before": original.norm(),
            "fro_after": edited.norm(),
            "fro_diff": (original - edited).norm(),
            "sum_after": edited.sum(),
            "first": edited[0, 0],
        }
        for key, value in found.items():
            assert float(value) == pytest.approx(float(line[key]), rel=2e-6, abs=1e-4), (line, key)
