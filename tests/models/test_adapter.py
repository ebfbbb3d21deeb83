import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from laser.config.architectures import ARCHITECTURES, in_mapping, mapped_matrices
from laser.errors import UserError
from laser.io.files import read_json
from laser.models.adapter import layer_count, locate, matrices, parameter_view, read_matrix
from tests.models import families

PAIRS = [(kind, matrix) for kind in sorted(ARCHITECTURES) for matrix in matrices({"model_type": kind})]
SHAPES = {
    "o": (families.HIDDEN, families.HIDDEN),
    "q": (families.HIDDEN, families.HIDDEN),
    "u_out": (families.HIDDEN, families.INNER),
}
SHAPES |= dict.fromkeys(("u_in", "u_gate"), (families.INNER, families.HIDDEN))


def test_every_known_architecture_is_tested():
    assert set(families.SETTINGS) == set(ARCHITECTURES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def get(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            model = families.build(kind)
            model.save_pretrained(folder)
            made[kind] = model, folder, read_json(folder / "config.json")
        return made[kind]

    return get


@pytest.mark.parametrize(("kind", "matrix"), PAIRS)
def test_file_and_live_model_hold_the_same_matrix(saved, kind, matrix):
    model, folder, config = saved(kind)
    assert layer_count(config) == families.LAYERS
    for layer in range(families.LAYERS):
        stored = read_matrix(folder, locate(config, layer, matrix))
        assert stored.dtype == torch.float32
        assert torch.equal(stored, parameter_view(model, config, layer, matrix))
        if matrix in SHAPES:
            assert tuple(stored.shape) == SHAPES[matrix]


@pytest.mark.parametrize(("kind", "matrix"), PAIRS)
def test_writing_into_the_view_changes_that_matrix_and_nothing_else(saved, kind, matrix):
    model, _, config = saved(kind)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    view = parameter_view(model, config, 1, matrix)
    original = view.clone()
    view.add_(1.0)
    try:
        changed = {name: parameter != before[name] for name, parameter in model.named_parameters()}
        touched = [name for name, mask in changed.items() if mask.any()]
        assert len(touched) == 1
        assert touched[0].endswith(locate(config, 1, matrix).parameter.split("1.", 1)[1])
        assert int(changed[touched[0]].sum()) == view.numel()
        others = set(matrices(config)) - {matrix}
        assert all(not torch.equal(parameter_view(model, config, 1, other), view) for other in others)
    finally:
        view.copy_(original)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def inputs_and_outputs(model, module):
    seen = {}

    def keep(_, arguments, output):
        seen["in"], seen["out"] = arguments[0], output

    handle = module.register_forward_hook(keep)
    model(torch.arange(3, 11)[None])
    handle.remove()
    return seen["in"], seen["out"]


def test_packed_conv1d_parts_are_q_k_and_v(saved):
    model, _, config = saved("gpt2")
    attention = model.transformer.h[0].attn
    states, packed = inputs_and_outputs(model, attention.c_attn)
    for part, matrix in zip(packed.split(families.HIDDEN, dim=-1), "qkv", strict=True):
        ours = states @ parameter_view(model, config, 0, matrix).T
        assert torch.allclose(ours, part, atol=1e-6)  # biases are 0 at the start
    states, output = inputs_and_outputs(model, attention.c_proj)
    assert torch.allclose(states @ parameter_view(model, config, 0, "o").T, output, atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "phi3"])
def test_gated_mlp_is_made_of_gate_in_and_out(saved, kind):
    model, _, config = saved(kind)
    mlp = model.model.layers[1].mlp
    states, output = inputs_and_outputs(model, mlp)
    gate, u_in, u_out = (parameter_view(model, config, 1, name) for name in ("u_gate", "u_in", "u_out"))
    ours = (torch.nn.functional.silu(states @ gate.T) * (states @ u_in.T)) @ u_out.T
    assert torch.allclose(ours, output, atol=1e-6)
    swapped = (torch.nn.functional.silu(states @ u_in.T) * (states @ gate.T)) @ u_out.T
    assert not torch.allclose(swapped, output, atol=1e-6)


@pytest.mark.parametrize("kind", ["roberta", "gptj", "phi", "opt", "gpt_neox", "bert"])
def test_plain_mlp_is_made_of_in_and_out(saved, kind):
    model, _, config = saved(kind)
    name = {"roberta": "intermediate.dense", "bert": "intermediate.dense", "gptj": "mlp.fc_in", "phi": "mlp.fc1"}.get(
        kind, {"opt": "fc1", "gpt_neox": "mlp.dense_h_to_4h"}.get(kind)
    )
    layer = next(part for path, part in model.named_modules() if path.endswith((".1", "h.1")) and len(path) < 30)
    module = layer.get_submodule(name)
    states, output = inputs_and_outputs(model, module)
    assert torch.allclose(states @ parameter_view(model, config, 1, "u_in").T, output, atol=1e-6)


@pytest.mark.parametrize("kind", ["gpt_neox", "phi3"])
@pytest.mark.parametrize("matrix", ["q", "k", "v"])
def test_packings_that_are_not_equal_parts_are_refused_by_name(kind, matrix):
    with pytest.raises(UserError, match=rf"'{matrix}' of {kind} cannot be edited alone: (qkv_proj|query_key_value)"):
        locate({"model_type": kind, "num_hidden_layers": 2}, 0, matrix)
    assert matrix not in matrices({"model_type": kind})


def test_sharded_checkpoint(saved, tmp_path):
    model, _, config = saved("llama")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    for matrix in matrices(config):
        assert torch.equal(read_matrix(tmp_path, locate(config, 1, matrix)), parameter_view(model, config, 1, matrix))


def test_checkpoint_without_the_wrapper_prefix(saved, tmp_path):
    model, folder, config = saved("gpt2")
    tensors = {
        name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(read_matrix(tmp_path, locate(config, 0, "k")), parameter_view(model, config, 0, "k"))


def test_half_precision_is_read_as_fp32(saved, tmp_path):
    model, _, config = saved("gptj")
    families.build("gptj").half().save_pretrained(tmp_path)
    stored = read_matrix(tmp_path, locate(config, 0, "u_in"))
    assert stored.dtype == torch.float32
    assert torch.equal(stored, parameter_view(model, config, 0, "u_in").half().float())


@pytest.mark.parametrize(
    ("matrix", "layer", "message"),
    [
        ("u_gate", 0, "gptj has no matrix 'u_gate'. It has: q, k, v, o, u_in, u_out"),
        ("u_in", 28, "layer 28 does not exist: the model has layers 0 to 27"),
        ("u_in", -1, "layer -1 does not exist"),
    ],
)
def test_what_does_not_exist_is_named(matrix, layer, message):
    with pytest.raises(UserError, match=message):
        locate({"model_type": "gptj", "n_layer": 28}, layer, matrix)


def test_unknown_architecture_names_the_known_ones_and_the_way_out():
    with pytest.raises(UserError) as error:
        matrices({"model_type": "lama"})
    message = str(error.value)
    assert "'lama' is not known (did you mean 'llama'?)" in message
    assert all(name in message for name in ARCHITECTURES)
    assert "mapping" in message and "{layer}" in message


def test_mapping_for_an_unknown_architecture(tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("starcoder2", **(families.COMMON | families.GROUPED))
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path)
    plain = read_json(tmp_path / "config.json")
    mapping = {"layer": "model.layers.{layer}.", "u_in": "mlp.c_fc.weight", "u_out": "mlp.c_proj.weight"}
    assert matrices(plain, mapping) == ("u_in", "u_out")
    place = locate(plain, 1, "u_in", mapping)
    assert torch.equal(read_matrix(tmp_path, place), model.model.layers[1].mlp.c_fc.weight)
    assert torch.equal(parameter_view(model, plain, 1, "u_out", mapping), model.model.layers[1].mlp.c_proj.weight)
    wrong = mapping | {"u_in": "mlp.up.weight"}
    with pytest.raises(
        UserError, match=r"no safetensors file holds 'model.layers.1.mlp.up.weight'.*'mapping'"
    ) as caught:
        read_matrix(tmp_path, locate(plain, 1, "u_in", wrong))
    assert "fetch" not in str(caught.value)
    with pytest.raises(UserError, match=r"no parameter 'model.layers.1.mlp.up.weight'. Check the model's 'mapping'"):
        parameter_view(model, plain, 1, "u_in", wrong)
    with pytest.raises(UserError, match="it is not a matrix"):
        read_matrix(tmp_path, locate(plain, 1, "u_in", mapping | {"u_in": "mlp.c_fc.bias"}))


@pytest.mark.parametrize(
    "mapping", [{}, {"u_in": "mlp.up.weight"}, {"layer": "model.layers.{l}.", "u_in": "up.weight"}]
)
def test_incomplete_mapping_says_what_it_needs(mapping):
    with pytest.raises(UserError, match="needs 'layer'"):
        matrices({"model_type": "new"}, mapping)


def test_two_weights_that_fit_equally_are_refused(tmp_path):
    tensor = torch.ones(2, 2)
    save_file({"model.h.0.w": tensor, "transformer.h.0.w": tensor.clone()}, tmp_path / "model.safetensors")
    mapping = {"layer": "h.{layer}.", "u_in": "w"}
    with pytest.raises(UserError, match=r"may be any of model\.h\.0\.w, transformer\.h\.0\.w"):
        read_matrix(tmp_path, locate({"n_layer": 1}, 0, "u_in", mapping))


def test_damaged_file_is_one_message(saved, tmp_path):
    _, folder, config = saved("llama")
    whole = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model.safetensors: cannot be read .* fetch it again"):
        read_matrix(tmp_path, locate(config, 0, "u_in"))


def test_locating_imports_neither_torch_nor_transformers():
    program = (
        "import sys; from laser.models.adapter import locate; locate({'model_type': 'gptj', 'n_layer': 2}, 0, 'q'); "
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


MOE = families.GROUPED | {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
MOE["num_experts_per_tok"] = 2
APART = {
    "mixtral": (
        {"num_local_experts": 4},
        "block_sparse_moe.experts.{e}.",
        {"u_in": "w3", "u_gate": "w1", "u_out": "w2"},
    ),
    "qwen2_moe": (
        {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "mlp_only_layers": []},
        "mlp.experts.{e}.",
        {"u_in": "up_proj", "u_gate": "gate_proj", "u_out": "down_proj"},
    ),
    "qwen3_moe": (
        {"num_experts": 4, "moe_intermediate_size": 24, "head_dim": 8, "mlp_only_layers": []},
        "mlp.experts.{e}.",
        {"u_in": "up_proj", "u_gate": "gate_proj", "u_out": "down_proj"},
    ),
}


def mixture(folder, kind, **settings):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(MOE | settings)))
    model.save_pretrained(folder)
    return model, read_json(folder / "config.json")


@pytest.mark.parametrize("kind", APART)
def test_matrices_of_experts_that_the_files_keep_apart(tmp_path, kind):
    settings, prefix, names = APART[kind]
    model, config = mixture(tmp_path, kind, **settings)
    mapping = {"layer": "model.layers.{layer}."} | {
        f"{name}_{expert}": prefix.replace("{e}", str(expert)) + f"{weight}.weight"
        for name, weight in names.items()
        for expert in (0, 3)
    }
    for matrix in matrices(config, mapping):
        for layer in range(2):
            stored = read_matrix(tmp_path, locate(config, layer, matrix, mapping))
            assert torch.equal(stored, parameter_view(model, config, layer, matrix, mapping)), matrix
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    view = parameter_view(model, config, 1, "u_in_3", mapping)
    view.data.add_(1.0)
    changed = {name: int((parameter != before[name]).sum()) for name, parameter in model.named_parameters()}
    assert sum(changed.values()) == view.numel()


def test_matrices_of_experts_that_the_files_pack(tmp_path):
    model, config = mixture(tmp_path, "gpt_oss", num_local_experts=4, head_dim=8)
    packed = "mlp.experts.down_proj"
    mapping = {"layer": "model.layers.{layer}.", "u_out_2": f"{packed}[2]", "whole": packed, "beyond": f"{packed}[4]"}
    stored = read_matrix(tmp_path, locate(config, 1, "u_out_2", mapping))
    assert torch.equal(stored, model.model.layers[1].mlp.experts.down_proj[2])
    assert torch.equal(stored, parameter_view(model, config, 1, "u_out_2", mapping))
    for matrix, words in (("whole", r"packs the matrices of 4 experts.*down_proj\[0\]"), ("beyond", "has no expert 4")):
        with pytest.raises(UserError, match=words):
            read_matrix(tmp_path, locate(config, 1, matrix, mapping))
        with pytest.raises(UserError, match=words):
            parameter_view(model, config, 1, matrix, mapping)


@pytest.mark.parametrize("kind", APART)
def test_a_mapping_names_every_expert_of_a_layer(tmp_path, kind):
    settings, prefix, names = APART[kind]
    model, config = mixture(tmp_path, kind, **settings)
    weight = prefix.replace("{e}", "{expert}") + names["u_out"] + ".weight"
    mapping = {"layer": "model.layers.{layer}.", "u_out": weight, "o": "self_attn.o_proj.weight"}
    assert matrices(config, mapping) == ("u_out_0", "u_out_1", "u_out_2", "u_out_3", "o")
    for matrix in matrices(config, mapping):
        stored = read_matrix(tmp_path, locate(config, 1, matrix, mapping))
        assert torch.equal(stored, parameter_view(model, config, 1, matrix, mapping))
    for absent in ("u_out", "u_out_4"):
        with pytest.raises(UserError, match=f"no matrix '{absent}'.*u_out_0"):
            locate(config, 1, absent, mapping)
        assert in_mapping(mapping, absent) == (absent == "u_out_4")
    assert mapped_matrices(mapping) == ["o", "u_out_<expert>"]


def test_packed_weights_take_the_number_of_the_expert_too(tmp_path):
    model, config = mixture(tmp_path, "gpt_oss", num_local_experts=4, head_dim=8)
    mapping = {"layer": "model.layers.{layer}.", "u_out": "mlp.experts.down_proj[{expert}]"}
    view = parameter_view(model, config, 0, "u_out_3", mapping)
    assert torch.equal(view, model.model.layers[0].mlp.experts.down_proj[3])
    assert torch.equal(view, read_matrix(tmp_path, locate(config, 0, "u_out_3", mapping)))


def test_experts_without_a_number_of_them():
    mapping = {"layer": "model.layers.{layer}.", "u_out": "mlp.experts.{expert}.w.weight"}
    with pytest.raises(UserError, match="names no number of experts"):
        matrices({"model_type": "new"}, mapping)
