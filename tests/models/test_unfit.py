"""Checkpoints that cannot be studied are refused at fetch, in one message that says what is wrong with them."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from laser.errors import UserError
from laser.io.files import write_json
from laser.models.load import load
from laser.models.sources import fetch
from laser.models.stored import read_header
from tests.models import families

WEIGHT = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    families.save(folder)
    return folder


@pytest.fixture
def origin(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "origin")


def refused(origin, folder):
    with pytest.raises(UserError) as caught:
        fetch({"name": "tiny", "source": {"kind": "local", "path": str(origin)}}, folder, lambda line: None)
    assert not folder.exists()
    message = str(caught.value)
    assert message.startswith("model 'tiny': ") and "\n" not in message and ".part" not in message
    return message


def change_config(origin, **changes):
    config = json.loads((origin / "config.json").read_text()) | changes
    write_json(origin / "config.json", {key: value for key, value in config.items() if value is not None})


def change_tensors(origin, change):
    tensors = load_file(origin / "model.safetensors")
    change(tensors)
    save_file(tensors, origin / "model.safetensors", metadata={"format": "pt"})


def write_header(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


# Codes of a quantisation in place of weights.


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quant_method": "gptq", "bits": 4}, ["quant_method: gptq"]),
        ({"quant_method": "awq"}, ["quant_method: awq"]),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, ["bitsandbytes"]),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, ["compressed-tensors"]),
        ({"quant_method": "hqq"}, ["hqq"]),
        ({"quant_method": "torchao"}, ["torchao"]),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ["fp8"]),
        ({"bits": 4}, ["quantization_config"]),
    ],
)
@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_a_quantised_configuration_is_refused_whether_or_not_its_library_is_there(
    origin, tmp_path, settings, words, key
):
    change_config(origin, **{key: settings})
    message = refused(origin, tmp_path / "tiny")
    assert all(word.replace("quantization_config", key) in message for word in words), message
    assert "quantised checkpoint" in message and "de-quantise" in message
    with pytest.raises(UserError, match="quantised checkpoint"):
        load(origin, "fp32", "cpu")


def blockwise_fp8(tensors):
    weight = tensors[WEIGHT]
    scale = weight.abs().max() / 448
    tensors[WEIGHT] = (weight / scale).to(torch.float8_e4m3fn)
    tensors[f"{WEIGHT}_scale_inv"] = scale.reshape(1, 1)


def stored_as(dtype):
    return lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].to(dtype)})


def scale_beside(suffix):
    layer = WEIGHT.removesuffix(".weight")
    return lambda tensors: tensors.update({layer + suffix: torch.ones(tensors[WEIGHT].shape[0], 1)})


def packed_codes(tensors):
    weight = tensors.pop(WEIGHT)
    tensors[WEIGHT.replace("weight", "qweight")] = torch.zeros(4, weight.shape[1], dtype=torch.int32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (blockwise_fp8, ["F8_E4M3", WEIGHT]),
        (stored_as(torch.float8_e5m2), ["F8_E5M2", WEIGHT]),
        (stored_as(torch.int8), ["I8", WEIGHT]),
        (stored_as(torch.uint8), ["U8", WEIGHT]),
        (stored_as(torch.int32), ["I32", WEIGHT]),
        (scale_beside(".weight_scale"), ["a scale beside it", ".weight_scale"]),
        (scale_beside(".weight_scale_inv"), ["a scale beside it"]),
        (scale_beside(".scales"), ["a scale beside it", ".scales"]),
        (scale_beside(".SCB"), [".SCB"]),
        (scale_beside(".weight.absmax"), [".absmax"]),
        (packed_codes, ["qweight"]),
    ],
)
def test_stored_codes_are_refused_by_name(origin, tmp_path, change, words):
    change_tensors(origin, change)
    message = refused(origin, tmp_path / "tiny")
    assert all(word in message for word in ["codes of a quantisation", *words]), message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_plain_types_are_taken(origin, tmp_path, dtype):
    change_tensors(origin, lambda tensors: tensors.update({key: one.to(dtype) for key, one in tensors.items()}))
    card = fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    assert card["dtype_stored"] == {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}[dtype]


def test_buffers_of_other_types_beside_the_weights_are_no_codes(tmp_path):
    origin = tmp_path / "origin"
    families.save(origin, "gpt2")
    change_tensors(
        origin,
        lambda tensors: tensors.update(
            {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 64, 64, dtype=torch.bool) for layer in range(2)}
            | {"transformer.position_ids": torch.arange(64)[None]}
        ),
    )
    card = fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    assert card["dtype_stored"] == "fp32"


# Files that are missing, or others than their names say.


def test_an_adapter_alone(origin, tmp_path):
    (origin / "model.safetensors").rename(origin / "adapter_model.safetensors")
    write_json(origin / "adapter_config.json", {"peft_type": "LORA"})
    message = refused(origin, tmp_path / "tiny")
    assert "only an adapter" in message and "merge_and_unload" in message


def test_an_adapter_beside_a_model_is_mentioned_and_not_used(origin, tmp_path):
    write_json(origin / "adapter_config.json", {"peft_type": "LORA"})
    save_file({"x": torch.ones(1)}, origin / "adapter_model.safetensors")
    card = fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    assert any("adapter" in note and "not used" in note for note in card["notes"])
    assert not (tmp_path / "t/adapter_config.json").exists()


def test_parts_without_an_index(origin, tmp_path):
    families.build("llama").save_pretrained(origin, max_shard_size="20KB")
    (origin / "model.safetensors").unlink(missing_ok=True)
    fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    (origin / "model.safetensors.index.json").unlink()
    message = refused(origin, tmp_path / "tiny")
    assert "neither model.safetensors.index.json nor model.safetensors" in message


def test_one_file_under_another_name(origin, tmp_path):
    (origin / "model.safetensors").rename(origin / "weights.safetensors")
    assert "'weights.safetensors'" in refused(origin, tmp_path / "tiny")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_pointers_of_git_lfs(origin, tmp_path, name):
    (origin / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 133\n")
    message = refused(origin, tmp_path / "tiny")
    assert name in message and "git lfs pull" in message


# Damaged files.

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"null", b""),
        (b"[]", b""),
        (b"3", b""),
        (b"{", b""),
        (b"[" * 50_000, b""),
        ({"a": None}, b""),
        ({"a": {"b": ENTRY}}, bytes(8)),
        ({"a": [ENTRY]}, bytes(8)),
        ({"a": {key: value for key, value in ENTRY.items() if key != "dtype"}}, bytes(8)),
        ({"a": ENTRY | {"dtype": "F31"}}, bytes(8)),
        ({"a": ENTRY | {"dtype": None}}, bytes(8)),
        ({"a": ENTRY | {"dtype": []}}, bytes(8)),
        ({"a": {key: value for key, value in ENTRY.items() if key != "shape"}}, bytes(8)),
        ({"a": ENTRY | {"shape": [-2]}}, bytes(8)),
        ({"a": ENTRY | {"shape": [2.0]}}, bytes(8)),
        ({"a": ENTRY | {"shape": [3]}}, bytes(8)),
        ({"a": ENTRY | {"data_offsets": None}}, bytes(8)),
        ({"a": ENTRY | {"data_offsets": [0]}}, bytes(8)),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e999]}}', bytes(8)),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [NaN, 8]}}', bytes(8)),
        ({"a": ENTRY | {"data_offsets": [8, 16]}}, bytes(16)),
        ({"a": ENTRY, "b": ENTRY}, bytes(8)),
    ],
)
def test_damaged_headers(origin, tmp_path, header, data):
    write_header(origin / "model.safetensors", header, data)
    with pytest.raises(UserError, match="not a complete safetensors file"):
        read_header(origin / "model.safetensors")
    assert "not a complete safetensors file" in refused(origin, tmp_path / "tiny")
    with pytest.raises(UserError):
        load(origin, "fp32", "cpu")


@pytest.mark.parametrize(
    "content",
    ["[]", "null", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}', "{", "[" * 9999],
)
def test_damaged_indices(origin, tmp_path, content):
    (origin / "model.safetensors.index.json").write_text(content)
    assert "model.safetensors.index.json" in refused(origin, tmp_path / "tiny")


@pytest.mark.parametrize("name", ["../model.safetensors", "absent.safetensors", "/etc/passwd", ""])
def test_an_index_that_names_other_files(origin, tmp_path, name):
    write_json(origin / "model.safetensors.index.json", {"weight_map": {WEIGHT: name}})
    assert "which is not there" in refused(origin, tmp_path / "tiny")


@pytest.mark.parametrize(
    "content", ["[]", "null", "3", '"llama"', "{}", '{"model_type": 3}', "{", '{"model_type": []}']
)
def test_damaged_configurations(origin, tmp_path, content):
    (origin / "config.json").write_text(content)
    assert "config.json" in refused(origin, tmp_path / "tiny")
    with pytest.raises(UserError, match=r"config\.json"):
        load(origin, "fp32", "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_attention_heads": 0}, ["num_attention_heads"]),
        ({"num_attention_heads": -4}, []),
        ({"num_attention_heads": "four"}, []),
        ({"num_key_value_heads": 0}, []),
        ({"num_hidden_layers": 100_000}, ["100000 layers"]),
        ({"num_hidden_layers": 0}, ["num_hidden_layers"]),
        ({"num_hidden_layers": 3}, ["weights are missing"]),
        ({"num_hidden_layers": 1}, ["model.layers.1.", "num_hidden_layers"]),
        ({"hidden_size": 0}, []),
        ({"hidden_size": 16}, ["another shape"]),
        ({"vocab_size": 0}, []),
        ({"architectures": "LlamaForCausalLM"}, ["architectures"]),
        ({"hidden_act": "no such activation"}, []),
        ({"rope_scaling": {"rope_type": "no such type", "factor": 2.0}}, []),
    ],
)
def test_configurations_that_do_not_fit_the_weights(origin, tmp_path, changes, words):
    change_config(origin, **changes)
    message = refused(origin, tmp_path / "tiny")
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("kind", "first"), [("gpt2", "transformer.h.1."), ("gpt_neox", "gpt_neox.layers.1.")])
def test_fewer_layers_than_the_files_hold_in_other_families(tmp_path, kind, first):
    origin = tmp_path / "origin"
    families.save(origin, kind)
    change_config(origin, **{"n_layer" if kind == "gpt2" else "num_hidden_layers": 1})
    assert first in refused(origin, tmp_path / "tiny")


def test_biases_that_the_configuration_does_not_have(tmp_path):
    origin = tmp_path / "origin"
    families.save(origin, "llama", attention_bias=True)
    change_config(origin, attention_bias=False)
    message = refused(origin, tmp_path / "tiny")
    assert "has no such bias" in message and "proj.bias" in message


def test_further_tensors_are_noted(origin, tmp_path):
    change_tensors(origin, lambda tensors: tensors.update({"value_head.weight": torch.ones(1, 32)}))
    card = fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    assert any("value_head.weight" in note and "not used" in note for note in card["notes"])


# Ids beyond the vocabulary.


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gptj", "gpt_neox", "opt"])
def test_end_and_padding_ids_beyond_the_vocabulary(tmp_path, kind):
    origin = tmp_path / "origin"
    families.save(origin, kind)
    change_config(origin, eos_token_id=50256, bos_token_id=50256, pad_token_id=50257)
    write_json(origin / "generation_config.json", {"eos_token_id": [50256, 2, -1], "pad_token_id": 50256})
    fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    loaded = load(tmp_path / "t", "fp32", "cpu")
    assert loaded.end_tokens == (2,)
    assert 0 <= loaded.padding_token < loaded.vocabulary
    write_json(origin / "generation_config.json", {"eos_token_id": 50256})
    assert load(origin, "fp32", "cpu").end_tokens == ()


def test_padding_token_that_was_added_without_resizing(origin, tmp_path):
    tokenizer = families.tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(origin)
    fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", lambda line: None)
    loaded = load(tmp_path / "t", "fp32", "cpu")
    assert loaded.tokenizer.pad_token_id == 40 == loaded.vocabulary
    assert loaded.padding_token == 2
