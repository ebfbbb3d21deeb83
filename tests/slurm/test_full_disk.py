"""The results' disk is full: one message says so; with space freed, the same command goes on to the same bytes."""

import shutil
import subprocess

import pandas as pd
import pytest
import torch

from laser.errors import UserError
from laser.io.files import write_json, write_parquet, write_tensors
from tests.slurm.harness import contents, same


@pytest.fixture
def small_disk(tmp_path):
    """A function that puts a folder onto a disk of 8 MB with its contents."""
    mounted = []

    def put(folder):
        kept = folder.rename(tmp_path / "kept")
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        shutil.copytree(kept, folder, dirs_exist_ok=True)

    yield put
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["tensors", "table", "json"])
def test_no_half_file_on_a_full_disk(tmp_path, small_disk, kind):
    folder = tmp_path / "disk"
    folder.mkdir()
    small_disk(folder)
    write = {
        "tensors": lambda path: write_tensors(path, {"x": torch.zeros(3_000_000)}),
        "table": lambda path: write_parquet(path, pd.DataFrame({"x": torch.rand(3_000_000).numpy()}), {}),
        "json": lambda path: write_json(path, "x" * 10_000_000),
    }
    with pytest.raises(UserError, match=r"disk/file: cannot be written: .*No space left on device"):
        write[kind](folder / "file")
    assert list(folder.iterdir()) == []


def test_full_disk(on_cluster, made, small_disk):
    place = on_cluster("before one sweep")
    small_disk(place.folder / "results")
    filler = place.folder / "results/filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    before = contents(place.results, "**/*.parquet")
    shown = place.start("--retries", "1").finish()
    assert place.runs[-1].process.returncode != 0
    assert "No space left on device" in shown and "Free space" in shown
    assert "fault of the workflow" not in shown
    assert contents(place.results, "**/*.parquet") == before
    filler.unlink()
    place.start().succeed()
    same(place.made(), made["local"].made())
