"""A path in a setting means what it would mean in a shell."""

from pathlib import Path

import pytest
import yaml

from laser.config.study import load_config
from laser.errors import UserError
from laser.io.user_paths import expanded
from laser.tasks.sources import read_dataset

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path


def test_home_and_variables_are_expanded(home):
    for written, meant in {
        "~/cache": home / "cache",
        "~": home,
        "$SCRATCH/cache": home / "scratch/cache",
        "${SCRATCH}/a": home / "scratch/a",
        "$HOME/$SCRATCH": Path(f"{home}/{home}/scratch"),
        "cache": Path("cache"),
        "a~b/~": Path("a~b/~"),
        "/abs": Path("/abs"),
    }.items():
        assert Path(expanded(written, "key")) == meant


@pytest.mark.parametrize("written", ["$NOWHERE/cache", "${NOWHERE}", "a/$NOWHERE", "~nobody-of-that-name/x"])
def test_what_means_nothing_here_makes_no_folder_of_that_name(home, written):
    with pytest.raises(UserError, match=r"key is .*(is not set|not a user's home)"):
        expanded(written, "key")


def test_cache_and_results_are_expanded(home):
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config = load_config(values | {"cache": "~/cache", "results": "$SCRATCH/results"}, ROOT)
    assert config["cache"] == f"{home}/cache" and config["results"] == f"{home}/scratch/results"
    with pytest.raises(UserError, match=r"'cache' is '\$NOWHERE/x', but the variable \$NOWHERE is not set"):
        load_config(values | {"cache": "$NOWHERE/x"}, ROOT)


@pytest.mark.parametrize("source", [{"files": {"train": "~/rows.jsonl"}}, {"path": "$HOME/rows.jsonl"}])
def test_a_local_file_of_a_dataset_is_expanded(home, source):
    (home / "rows.jsonl").write_text('{"a": 1}\n')
    assert read_dataset("mine", [{"kind": "local"} | source], ["train"], []).read("train") == [{"a": 1}]
