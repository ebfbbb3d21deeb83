import pytest
import torch
from safetensors.torch import load_file, save_file

from laser.evaluation import cell
from laser.evaluation.cell import answer_each
from laser.provenance.job import Job
from laser.reduction.interventions import Intervention
from tests.engine.tiny_models import assert_agree
from tests.evaluation.small_cell import SmallCell
from tests.evaluation.tiny_cell import open_cell


@pytest.fixture
def small(tmp_path):
    """A cell whose checkpoint is exact in fp16, as one that is distributed in fp16."""
    small = SmallCell(tmp_path)
    path = small.model / "model.safetensors"
    tensors = {name: value.half().float() for name, value in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})
    return small


def opened(small, **options):
    files = (small.model / "card.json", small.rows, small.folder / "factors")
    return open_cell(small.evaluation, *files, "validation", **options)


def test_split_products_where_they_are_faster_and_the_same_answers(small, monkeypatch):
    plain = opened(small)
    assert plain.run_facts["products"] == "fp32"
    monkeypatch.setattr(cell, "SPLIT_ON", ("cpu", "cuda"))
    split = opened(small)
    assert (split.run_facts["products"], split.run_facts["dtype"]) == ("fp32-split", "fp32")
    edits = [(), (Intervention("u_out", 1, 0.3),), (Intervention("u_gate", 0, 0.1, "randomised"),)]
    job = Job("test", small.evaluation, {})
    assert_agree(answer_each(job, plain, edits).values(), answer_each(job, split, edits).values())


def test_gradients_need_weights_in_their_own_precision(small, monkeypatch):
    monkeypatch.setattr(cell, "SPLIT_ON", ("cpu", "cuda"))
    whole = opened(small, gradients=True)
    assert whole.run_facts["products"] == "fp32"
    assert {parameter.dtype for parameter in whole.loaded.model.parameters()} == {torch.float32}


def test_a_checkpoint_that_fp16_would_round_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cell, "SPLIT_ON", ("cpu", "cuda"))
    assert opened(SmallCell(tmp_path)).run_facts["products"] == "fp32"
