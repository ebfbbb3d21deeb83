"""A model that overflows on some rows, or on all: what is on file, and what is said."""

import math

import pytest
from safetensors.torch import load_file, save_file

from laser.errors import UserError
from laser.io.files import read_parquet
from tests import tiny
from tests.evaluation.tiny_cell import TinyCell


def change(cell, name, make):
    path = cell.model.parent / "model.safetensors"
    tensors = load_file(path)
    tensors[name] = make(tensors[name])
    save_file(tensors, path, metadata={"format": "pt"})


def of_dtype(cell, dtype):
    return {"model": cell.spec["model"] | {"dtype": dtype}}


@pytest.fixture
def some(tmp_path):
    """A cell whose prompts overflow where they hold one of the words."""
    cell = TinyCell(tmp_path)
    ids = tiny.tokenizer()(" Paris", add_special_tokens=False)["input_ids"]

    def hot(weight):
        weight[ids[0]] = math.inf
        return weight

    change(cell, "model.embed_tokens.weight", hot)
    return cell


def test_some_rows(some, capsys):
    path = some.run("base", of_dtype(some, "fp16"), "base.parquet")
    frame = read_parquet(path)
    lost = frame["loss"].isna()
    assert 0 < lost.sum() < len(frame)
    assert not frame.loc[lost, ["correct", "in_top5", "in_top10"]].any(axis=None)
    assert frame.loc[lost, "answer_rank"].isna().all() and frame.loc[~lost, "answer_rank"].notna().all()
    assert f"overflows in fp16 on {lost.sum()} of {len(frame)} rows" in capsys.readouterr().err
    spec = of_dtype(some, "fp16") | {"layer": 1, "matrices": ["u_in"], "rhos": [0.5]}
    some.script("sweep", spec)
    swept = some.folders.path("sweep", **some.cell, layer=1, rho=0.5)
    assert list(read_parquet(swept)["loss"].isna()) == list(lost)


def test_all_rows(tmp_path):
    cell = TinyCell(tmp_path)
    change(cell, "model.layers.0.mlp.down_proj.weight", lambda weight: weight.fill_(60000))
    with pytest.raises((UserError, SystemExit)) as raised:
        cell.run("base", of_dtype(cell, "fp16"), "base.parquet")
    text = (tmp_path / "base.log").read_text() if raised.type is SystemExit else str(raised.value)
    assert "tiny-llama on worldfacts: the base model overflows in fp16" in text and "bf16 or fp32" in text
    assert "fault of the workflow" not in text and not (tmp_path / "base.parquet").exists()


def test_a_model_that_does_not_overflow(tmp_path, capsys):
    cell = TinyCell(tmp_path)
    path = cell.run("base", {}, "base.parquet")
    assert read_parquet(path)["answer_rank"].dtype == "int32"
    assert "overflow" not in capsys.readouterr().err
