import json
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from laser.errors import UserError
from laser.io.files import write_json
from laser.io.machine import GIVEN_BY
from laser.models.device import resolve_device, set_threads
from laser.models.load import load
from tests.models import families

WEIGHT = "model.layers.1.mlp.up_proj.weight"
IDS = torch.arange(3, 11)[None]


@pytest.fixture
def folder(tmp_path):
    families.save(tmp_path)
    return tmp_path


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_is_loaded_is_what_was_saved(folder):
    write_json(folder / "card.json", {"source": "made here"})
    loaded = load(folder, "fp32", "cpu")
    original = families.build("llama")
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, original.get_parameter(name)), name
        assert not parameter.requires_grad
    assert torch.equal(loaded.model(IDS).logits, original(IDS).logits)
    assert not loaded.model.training
    assert loaded.tokenizer("w5 w7").input_ids == [5, 7]
    assert (loaded.task, loaded.dtype, str(loaded.device), loaded.max_positions) == ("causal", "fp32", "cpu", 64)
    assert (loaded.config["model_type"], loaded.card, loaded.folder) == ("llama", {"source": "made here"}, folder)


def test_weights_are_loaded_straight_to_the_device_and_are_the_same_without_accelerate(folder, monkeypatch):
    straight = load(folder, "fp32", "cpu").model.state_dict()
    monkeypatch.setattr("laser.models.load.resolve_device", lambda device: torch.device("meta"))
    with monkeypatch.context() as patched:  # nothing is moved after loading: transformers puts it there
        patched.setattr(torch.nn.Module, "to", lambda model, *_: model)
        assert {weight.device.type for weight in load(folder).model.parameters()} == {"meta"}
    monkeypatch.undo()
    monkeypatch.setattr("laser.models.load.is_accelerate_available", lambda: False)
    moved = load(folder, "fp32", "cpu").model.state_dict()
    assert straight.keys() == moved.keys() and all(torch.equal(straight[name], moved[name]) for name in moved)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)]
)
def test_dtype(folder, name, dtype):
    model = load(folder, name, "cpu").model
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    expected = families.build("llama").get_parameter(WEIGHT).to(dtype)
    assert torch.equal(model.get_parameter(WEIGHT), expected)


@pytest.mark.parametrize(("kind", "positions"), [("roberta", 62), ("bert", 64)])
def test_masked_model(tmp_path, kind, positions):
    families.save(tmp_path, kind, pad_token_id=1)
    loaded = load(tmp_path, "fp32", "cpu")
    assert (loaded.task, loaded.max_positions) == ("masked", positions)
    assert "MaskedLM" in type(loaded.model).__name__
    ids = torch.full((1, positions), 5)
    assert loaded.model(ids).logits.shape == (1, positions, 40)
    with pytest.raises((IndexError, RuntimeError)):
        loaded.model(torch.full((1, positions + 1), 5))


@pytest.mark.parametrize("kind", ["gptj", "gpt2", "gpt_neox", "opt", "phi", "qwen2", "mistral", "phi3"])
def test_every_causal_architecture_loads_whole(tmp_path, kind):
    original = families.save(tmp_path, kind)
    assert torch.equal(load(tmp_path, "fp32", "cpu").model(IDS).logits, original(IDS).logits)


def test_tied_head_that_the_file_does_not_hold_is_not_missing(tmp_path):
    original = families.save(tmp_path, "llama", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert torch.equal(load(tmp_path, "fp32", "cpu").model(IDS).logits, original(IDS).logits)


def test_no_card_is_an_empty_card(folder):
    assert load(folder, "fp32", "cpu").card == {}


def test_missing_weight_is_refused_and_named(folder):
    rewrite(folder, lambda tensors: tensors.pop(WEIGHT))
    with pytest.raises(UserError, match=f"1 weights are missing or have another shape, such as {WEIGHT}"):
        load(folder, "fp32", "cpu")


def test_weight_of_another_shape_is_refused_and_named(folder):
    rewrite(folder, lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT][:10].clone()}))
    with pytest.raises(UserError, match=f"1 weights are missing or have another shape, such as {WEIGHT}"):
        load(folder, "fp32", "cpu")


def test_cut_off_file(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"not a complete safetensors file .* fetch it again"):
        load(folder, "fp32", "cpu")


def test_pickled_weights_alone_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds no \.safetensors file"):
        load(folder, "fp32", "cpu")


def test_folder_without_vocabulary(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"it has no vocabulary: one of tokenizer\.json"):
        load(folder, "fp32", "cpu")


def test_architecture_that_transformers_does_not_know(folder):
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | {"model_type": "no_such_model"})
    with pytest.raises(UserError, match="no_such_model"):
        load(folder, "fp32", "cpu")


def test_code_of_the_checkpoint_is_never_run(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "modeling_evil.py").write_text("raise SystemExit('ran')\n")
    classes = {"AutoConfig": "modeling_evil.Config", "AutoModelForCausalLM": "modeling_evil.Model"}
    write_json(folder / "config.json", config | {"model_type": "evil", "auto_map": classes})
    with pytest.raises(UserError, match="cannot be loaded"):
        load(folder, "fp32", "cpu")


def test_no_network(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load(folder, "fp32", "cpu")


def test_empty_folder(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        load(tmp_path, "fp32", "cpu")


def test_device(monkeypatch):
    assert resolve_device("cpu") == torch.device("cpu")
    for name in GIVEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="'device' is 'cuda', but torch sees no CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")


def test_threads():
    before = torch.get_num_threads()
    try:
        set_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        set_threads(before)
