"""Files are whole or absent, and carry the spec they were made from."""

import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from laser.errors import UserError
from laser.io.files import (
    atomic,
    canonical_json,
    read_json,
    read_parquet,
    read_spec,
    read_tensors,
    write_json,
    write_parquet,
    write_tensors,
)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "one.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["one.json"]


def test_parquet_carries_its_spec_and_equal_runs_give_equal_bytes(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "loss": [0.1, 0.2], "options": [["x"], []]})
    for name in ("one", "two"):
        write_parquet(tmp_path / name, frame, {"rho": 0.5, "name": "é"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_spec(tmp_path / "one") == {"rho": 0.5, "name": "é"}
    assert read_parquet(tmp_path / "one", ["loss"])["loss"].tolist() == [0.1, 0.2]


def test_a_column_that_is_asked_for_must_be_there_once(tmp_path):
    pq.write_table(pa.table([[1], [2], [3]], names=["id", "loss", "loss"]), tmp_path / "rows")
    assert list(read_parquet(tmp_path / "rows", ["id"])) == ["id"]
    with pytest.raises(UserError, match="rows: has the column 'loss' twice"):
        read_parquet(tmp_path / "rows", ["id", "loss"])
    with pytest.raises(UserError, match="rows: lacks the column 'rho'"):
        read_parquet(tmp_path / "rows", ["rho"])


def test_tensors(tmp_path):
    write_tensors(tmp_path / "t", {"a": torch.arange(6.0).reshape(2, 3).T}, {"key": "k"})
    assert torch.equal(read_tensors(tmp_path / "t")["a"], torch.arange(6.0).reshape(2, 3).T)


@pytest.mark.parametrize("read", [read_json, read_parquet, read_tensors])
def test_a_damaged_file_is_named(tmp_path, read):
    path = tmp_path / "damaged"
    path.write_bytes(b"\x00\x01\x02 not what it should be")
    with pytest.raises(UserError, match=str(path)):
        read(path)


def test_hashed_form_does_not_depend_on_order_and_refuses_nan():
    assert canonical_json({"b": 1, "a": [1, 2]}) == canonical_json(json.loads('{"a": [1, 2], "b": 1}'))
    with pytest.raises(ValueError):
        canonical_json({"a": math.nan})


def test_a_full_disk_is_a_message(tmp_path, monkeypatch):
    import os

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_json(tmp_path / "one.json", {})
    assert not list(tmp_path.iterdir())
