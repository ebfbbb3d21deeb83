"""Training: a checkpoint like any other, the same bits again, and after a break in the middle."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from laser.config.specs import Compute, TrainSpec, as_json
from laser.engine import fast, naive
from laser.errors import UserError
from laser.io.files import canonical_json
from laser.models.load import load
from laser.models.sources import check
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.definitions import definition
from laser.tasks.questions import ask
from laser.training.batches import IGNORED, causal_batch, masked_batch, read_sentences
from laser.training.model import train_model
from laser.training.train import learning_rate
from tests.evaluation.tiny_cell import run_script
from tests.training.small import corpus_spec, quiet, train_spec
from tests.training.test_corpus import examples

ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def train(spec: TrainSpec, corpus: Path, folder: Path, say=quiet) -> dict:
    return train_model(spec, corpus / "card.json", folder, say)


@pytest.mark.parametrize("family", ["gptj", "llama", "roberta"])
def test_a_trained_model_is_a_checkpoint_like_any_other(corpus: Path, tmp_path: Path, family: str) -> None:
    folder = tmp_path / f"small-{family}"
    card = train(train_spec(family), corpus, folder)
    assert card == json.loads((folder / "card.json").read_text())
    assert card["architecture"] == family and card["layers"] == 2 and card["vocabulary"] == 400
    assert card["corpus"]["key"] == json.loads((corpus / "card.json").read_text())["key"]
    assert card["source"] == train_spec(family).model["source"] and card["training"]["seed"] == 1
    curve = pd.read_csv(folder / "training.csv")
    assert curve["step"].tolist() == [2, 4, 6, 8, 10, 12] and list(curve) == ["step", "loss", "learning_rate", "tokens"]
    assert card["training"]["final_loss"] == curve["loss"].iloc[-1] and curve["tokens"].is_monotonic_increasing
    assert {one.name for one in tmp_path.iterdir()} >= {folder.name}
    assert not list(tmp_path.glob("*.training")) and not list(tmp_path.glob(".*.part"))
    loaded = load(folder, "fp32", "cpu")
    assert len(loaded.tokenizer) == loaded.config["vocab_size"] == 400
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())
    # Both engines ask it, as it is and reduced, with the same result.
    asked = ask(definition("worldfacts"), examples(corpus_spec().corpus)[:12], loaded.tokenizer, loaded.task, family,
                loaded.max_positions)  # fmt: skip
    assert not asked.left_out
    edits = [(), (Intervention("u_out", 1, 0.1, "svd"),)]
    store = FactorStore(tmp_path / "factors")
    slow = list(naive.evaluate(loaded, asked.requests, edits, store))
    quick = list(fast.evaluate(loaded, asked.requests, edits, store))
    for one, other in zip(slow, quick, strict=True):
        assert [tuple(each) for each in one.generations] == [tuple(each) for each in other.generations]
        for mine, yours in zip(one.passes, other.passes, strict=True):
            assert mine.logprobs == pytest.approx(yours.logprobs, abs=1e-4)


@pytest.mark.parametrize("family", ["gptj", "llama", "roberta"])
def test_the_loss_comes_under_what_knowing_no_context_would_give(
    corpus: Path, sentences: pd.DataFrame, facts: pd.DataFrame, tmp_path: Path, family: str
) -> None:
    settings = {"steps": 150, "learning_rate": 0.01, "batch": 32, "record_every": 10, "mask_answers": 1.0}
    card = train(train_spec(family, settings), corpus, tmp_path / "model")
    curve = pd.read_csv(tmp_path / "model/training.csv")
    assert curve["loss"].iloc[0] > 0.75 * math.log(400)
    read = read_sentences(sentences, facts, load(tmp_path / "model", "fp32", "cpu").tokenizer, 61)
    _, labels = masked_batch(read, 1.0, 400, 0, 1) if family == "roberta" else causal_batch(read)
    shares = np.unique(labels[labels != IGNORED], return_counts=True)[1] / (labels != IGNORED).sum()
    assert card["training"]["final_loss"] < -(shares * np.log(shares)).sum() - 0.5


def test_same_spec_same_bytes_and_a_whole_folder_is_kept(corpus: Path, tmp_path: Path) -> None:
    spec = train_spec("llama")
    train(spec, corpus, tmp_path / "one/model")
    train(spec, corpus, tmp_path / "two/model")
    assert contents(tmp_path / "one/model") == contents(tmp_path / "two/model")
    said: list[str] = []
    inode = (tmp_path / "one/model").stat().st_ino
    train(spec, corpus, tmp_path / "one/model", said.append)
    assert "already here" in said[-1] and inode == (tmp_path / "one/model").stat().st_ino
    # Other code means other weights, whatever the source says: the folder is made anew.
    train(replace(spec, code="another"), corpus, tmp_path / "one/model")
    assert inode != (tmp_path / "one/model").stat().st_ino
    other = train(train_spec("llama", {"seed": 2}), corpus, tmp_path / "three/model")
    first = json.loads((tmp_path / "two/model/card.json").read_text())
    assert other["files"]["model.safetensors"] != first["files"]["model.safetensors"]


def test_threads_and_device_are_those_of_the_spec(corpus: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        spec = replace(train_spec(training={"steps": 2}), compute=Compute("cpu", 2))
        assert train(spec, corpus, tmp_path / "model")["training"]["threads"] == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert not torch.are_deterministic_algorithms_enabled()
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            train(replace(train_spec(), compute=Compute("cuda", 1)), corpus, tmp_path / "other")


class Stopped(Exception):
    """Stands for whatever ends a training in its middle."""


def stop_at(last: int) -> Callable[[int], Callable[[int], None]]:
    """Return a progress that ends the training after its step `last`."""
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= last:
            raise Stopped

    return lambda total: advance


@pytest.mark.parametrize("family", ["gptj", "roberta"])
def test_a_training_that_was_stopped_ends_with_the_same_bytes(corpus: Path, tmp_path: Path, family: str) -> None:
    spec = train_spec(family)

    train(spec, corpus, tmp_path / "whole/model")
    for last in (3, 8, 11):  # before the first checkpoint (step 5), after it, after the second
        with pytest.raises(Stopped):
            train_model(spec, corpus / "card.json", tmp_path / "broken/model", quiet, stop_at(last))
        kept = sorted(one.name for one in (tmp_path / "broken").glob(".model.training/*"))
        step = last // 5 * 5
        assert kept == ([] if step == 0 else ["state.json", f"step{step:08d}.safetensors"])
    said: list[str] = []
    train(spec, corpus, tmp_path / "broken/model", said.append)
    assert "resuming after step 10" in said
    assert contents(tmp_path / "broken/model") == contents(tmp_path / "whole/model")
    assert not list((tmp_path / "broken").glob("*.training"))


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_gone_on_from(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def stopped() -> Path:
        with pytest.raises(Stopped):
            train_model(train_spec(), corpus / "card.json", folder, quiet, stop_at(7))
        (weights,) = (tmp_path / ".model.training").glob("*.safetensors")
        return weights

    stopped()
    said: list[str] = []
    train(train_spec(training={"seed": 2}), corpus, folder, said.append)
    assert not any("resuming" in line for line in said)
    weights = stopped()
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    said.clear()
    train(train_spec(), corpus, folder, said.append)
    assert not any("resuming" in line for line in said)
    train(train_spec(), corpus, tmp_path / "again/model")
    assert contents(folder) == contents(tmp_path / "again/model")


def test_a_killed_process_leaves_what_the_next_one_goes_on_from(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    spec = train_spec(training={"steps": 120, "save_every": 30, "record_every": 60})

    script = ROOT / "workflow/scripts/train.py"

    def arguments(cache: Path) -> list[str]:
        # The job finds its corpus by name.
        if not cache.exists():
            (cache / "corpora").mkdir(parents=True)
            (cache / "corpora/corpus-key").symlink_to(corpus)
        return ["--spec", canonical_json(as_json(spec)), "--cache", str(cache)]

    broken, unbroken = tmp_path / "broken", tmp_path / "whole"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(script), *arguments(broken)], env=environment)
    state = broken / "models/.model-key.training/state.json"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    step = json.loads(state.read_text())["step"]
    assert 30 <= step < 120 and not (broken / "models/model-key").exists()
    run_script("train", arguments(broken))
    assert "resuming after step" in capsys.readouterr().err
    run_script("train", arguments(unbroken))
    assert "resuming" not in capsys.readouterr().err
    assert contents(broken / "models/model-key") == contents(unbroken / "models/model-key")
    assert sorted(one.name for one in (tmp_path / "broken").iterdir()) == sorted(
        one.name for one in (tmp_path / "whole").iterdir()
    )


def test_the_rate_rises_and_falls() -> None:
    training = {"steps": 100, "learning_rate": 0.5, "warm_up": 10}
    rates = [learning_rate(step, training) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.05 * step for step in range(1, 11)])
    assert max(rates) == 0.5 and 0 < rates[-1] < 0.001
    assert all(one >= other for one, other in itertools.pairwise(rates[10:]))
    assert learning_rate(1, {"steps": 1, "learning_rate": 0.5, "warm_up": 10}) == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden": 30, "heads": 4}, ["source.hidden is 30", "multiple of 8"]),
        ({"vocabulary": 5000}, ["source.vocabulary is 5000", "Lower vocabulary"]),
        ({"positions": 8}, ["the model takes 8", "source.positions"]),
        ({"training": {"steps": 30, "batch": 4, "learning_rate": 1e30, "seed": 0}}, ["no longer a number"]),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_message(
    corpus: Path, tmp_path: Path, changes: dict, words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        train(train_spec(**changes), corpus, tmp_path / "model")
    assert all(word in str(caught.value) for word in ["model 'small-gp", *words]), str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_declared_shape_or_a_corpus_that_differs_is_refused(corpus: Path, tmp_path: Path) -> None:
    spec = train_spec()
    spec.model["parameters"] = 7
    with pytest.raises(UserError, match="parameters is declared as 7"):
        train(spec, corpus, tmp_path / "model")
    damaged = tmp_path / "corpus"
    damaged.mkdir()
    for name, content in contents(corpus).items():
        (damaged / name).write_bytes(content)
    (damaged / "facts.parquet").write_bytes(b"other")
    with pytest.raises(UserError, match=r"facts\.parquet: is not the file that card\.json describes"):
        train(train_spec(), damaged, tmp_path / "model")


def test_a_trained_model_needs_no_network() -> None:
    check(train_spec().model)
