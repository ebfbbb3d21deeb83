"""What an architecture is, tried at fetch: causal or not, what may be batched, how long a prompt may be."""

import json
import random

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from laser.engine import naive
from laser.errors import UserError
from laser.io.files import write_json
from laser.models import probe as probe_module
from laser.models.batching import ONE_LENGTH, PADDED
from laser.models.load import load
from laser.models.sources import fetch
from laser.reduction.factors import FactorStore
from laser.tasks.passes import Generation, Pass, Requests
from tests.models import families

COMMON = families.COMMON | families.BERT
XLNET = {"vocab_size": 40, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "pad_token_id": 0}
PROPHETNET = {
    "vocab_size": 40, "hidden_size": 32, "num_decoder_layers": 2, "num_decoder_attention_heads": 4,
    "num_encoder_layers": 2, "num_encoder_attention_heads": 4, "decoder_ffn_dim": 48, "encoder_ffn_dim": 48,
    "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip


def save(folder, model_class, kind, **settings):
    config = AutoConfig.for_model(kind, **settings)
    torch.manual_seed(0)
    model = model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)
    model.save_pretrained(folder)
    families.tokenizer().save_pretrained(folder)
    return model


def fetched(origin, folder):
    entry = {"name": "tiny", "source": {"kind": "local", "path": str(origin)}}
    return fetch(entry, folder, lambda line: None)


def change_config(origin, **changes):
    write_json(origin / "config.json", json.loads((origin / "config.json").read_text()) | changes)


@pytest.mark.parametrize(
    ("model_class", "kind", "settings"),
    [
        (transformers.BertForPreTraining, "bert", COMMON),
        (transformers.BertLMHeadModel, "bert", COMMON),
        (transformers.RobertaForCausalLM, "roberta", COMMON | {"pad_token_id": 1}),
        (transformers.CamembertForCausalLM, "camembert", COMMON | {"pad_token_id": 1}),
        (transformers.ElectraForCausalLM, "electra", COMMON | {"embedding_size": 32}),
        (transformers.XLNetLMHeadModel, "xlnet", XLNET),
        (transformers.ProphetNetForCausalLM, "prophetnet", PROPHETNET),
    ],
)
def test_what_is_not_causal_is_refused_by_name(tmp_path, model_class, kind, settings):
    save(tmp_path / "origin", model_class, kind, **settings)
    with pytest.raises(UserError, match=f"'{kind}' as .* is not causal") as caught:
        fetched(tmp_path / "origin", tmp_path / "tiny")
    assert "'tiny'" in str(caught.value) and not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("model_class", "kind", "settings"),
    [
        (transformers.BertLMHeadModel, "bert", COMMON | {"is_decoder": True}),
        (transformers.RobertaForCausalLM, "roberta", COMMON | {"pad_token_id": 1, "is_decoder": True}),
    ],
)
def test_decoders_made_from_encoders_are_taken(tmp_path, model_class, kind, settings):
    save(tmp_path / "origin", model_class, kind, **settings)
    assert fetched(tmp_path / "origin", tmp_path / "tiny")["task"] == "causal"


def test_a_masked_model_that_sees_one_side_alone_is_refused(tmp_path):
    save(tmp_path / "origin", AutoModelForMaskedLM, "roberta", **(COMMON | {"pad_token_id": 1, "is_decoder": True}))
    with pytest.raises(UserError, match=r"is causal \(is_decoder"):
        fetched(tmp_path / "origin", tmp_path / "tiny")


@pytest.mark.parametrize("kind", [kind for kind in families.SETTINGS if kind != "decision_transformer"])
def test_every_known_architecture_passes_and_may_be_padded(tmp_path, kind):
    families.save(tmp_path / "origin", kind, **({"pad_token_id": 1} if "roberta" in kind else {}))
    assert fetched(tmp_path / "origin", tmp_path / "tiny")["batching"] == PADDED


STATE_SPACE = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0, "eos_token_id": 2}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mamba", STATE_SPACE | {"state_size": 4}),
        ("falcon_mamba", STATE_SPACE | {"state_size": 4}),
        ("mamba2", STATE_SPACE | {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 1}),
        ("rwkv", STATE_SPACE | {"attention_hidden_size": 32}),
    ],
)
def test_state_space_models_are_refused_by_name(tmp_path, kind, settings):
    save(tmp_path / "origin", AutoModelForCausalLM, kind, **settings)
    with pytest.raises(UserError, match=f"'{kind}' has no num_attention_heads"):
        fetched(tmp_path / "origin", tmp_path / "tiny")


@pytest.mark.parametrize("kind", ["gemma3", "llava", "mllama", "paligemma"])
def test_multimodal_models_are_refused_by_name(tmp_path, kind):
    families.save(tmp_path / "origin")
    write_json(tmp_path / "origin/config.json", {"model_type": kind, "architectures": ["Whatever"]})
    with pytest.raises(UserError, match=f"'{kind}' has no num_hidden_layers.*multimodal"):
        fetched(tmp_path / "origin", tmp_path / "tiny")


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_encoders_with_decoders_are_refused_by_name(tmp_path, kind):
    families.save(tmp_path / "origin")
    write_json(tmp_path / "origin/config.json", {"model_type": kind})
    with pytest.raises(UserError, match=f"'{kind}' is an encoder with a decoder"):
        fetched(tmp_path / "origin", tmp_path / "tiny")


def test_attention_kernel_of_the_checkpoint_is_not_followed(tmp_path):
    families.save(tmp_path / "origin")
    for name in ("eager", "flash_attention_2", "no such kernel"):
        change_config(tmp_path / "origin", attn_implementation=name, _attn_implementation=name)
        fetched(tmp_path / "origin", tmp_path / name)
        assert load(tmp_path / name, "fp32", "cpu").model.config._attn_implementation == "sdpa"


def test_architecture_without_torch_attention_uses_the_plain_one(tmp_path):
    families.save(tmp_path / "origin", "gemma2")
    assert load(tmp_path / "origin", "fp32", "cpu").model.config._attn_implementation == "eager"


# The longest prompt.

POSITIONS = COMMON | {"max_position_embeddings": 20, "pad_token_id": 1}


@pytest.mark.parametrize(
    ("kind", "settings", "longest"),
    [
        *((kind, {}, 18) for kind in ("roberta", "camembert", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl")),
        ("data2vec-text", {}, 18),
        ("luke", {"entity_vocab_size": 10, "entity_emb_size": 16}, 18),
        ("esm", {"position_embedding_type": "absolute", "mask_token_id": 3}, 18),
        ("esm", {"position_embedding_type": "rotary", "mask_token_id": 3}, 20),
        ("mpnet", {}, 18),
        ("roberta", {"pad_token_id": 3}, 16),
        ("bert", {}, 20),
        ("electra", {"embedding_size": 32}, 20),
        ("distilbert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}, 20),
    ],
)
def test_the_longest_prompt_of_masked_models(tmp_path, kind, settings, longest):
    save(tmp_path / "origin", AutoModelForMaskedLM, kind, **(POSITIONS | settings))
    fetched(tmp_path / "origin", tmp_path / "tiny")
    loaded = load(tmp_path / "tiny", "fp32", "cpu")
    assert loaded.max_positions == longest
    ids = torch.full((1, longest), 5)
    assert loaded.model(input_ids=ids).logits.shape == (1, longest, 40)
    if settings.get("position_embedding_type") != "rotary":
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            loaded.model(input_ids=torch.full((1, longest + 1), 5))


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neo", "biogpt", "xglm"])
def test_the_longest_prompt_of_causal_models(tmp_path, kind):
    settings = {
        "gpt2": families.GPT2 | {"n_embd": 32, "n_positions": 20},
        "opt": families.SETTINGS["opt"] | {"max_position_embeddings": 20},
        "gpt_neo": {
            "hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 20,
            "attention_types": [[["global", "local"], 1]],
        },
        "biogpt": families.BERT | {"max_position_embeddings": 20},
        "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4, "max_position_embeddings": 20},
    }[kind]  # fmt: skip
    common = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    save(tmp_path / "origin", AutoModelForCausalLM, kind, **(common | settings))
    fetched(tmp_path / "origin", tmp_path / "tiny")
    loaded = load(tmp_path / "tiny", "fp32", "cpu")
    assert loaded.max_positions == 20
    assert loaded.model(input_ids=torch.full((1, 20), 5)).logits.shape == (1, 20, 40)


# What may be evaluated side by side.


def requests(seed=0, longest=60):
    generator = random.Random(seed)

    def ids(length):
        return tuple(generator.randrange(3, 40) for _ in range(length))

    lengths = [5, 9, longest, 9, 17, 33, 5, longest, 40]
    passes = [Pass(ids(length), ((length - 2, 7), (length - 2, 9)), (length - 1,)) for length in lengths]
    return Requests(passes, [Generation(ids(length), 6) for length in (4, 9, 30, 4, 25, longest - 8)])


def alone(loaded, asked):
    passes = [naive.answer(loaded, Requests([one], []), 512).passes[0] for one in asked.passes]
    return passes, [naive.answer(loaded, Requests([], [one]), 512).generations[0] for one in asked.generations]


def assert_as_if_alone(folder, asked):
    passes, generations = alone(load(folder, "fp32", "cpu"), asked)
    for budget in (16, 256, 4096):
        loaded = load(folder, "fp32", "cpu")
        (answers,) = naive.evaluate(loaded, asked, [()], FactorStore(folder / "factors"), budget)
        assert answers.generations == generations
        for one, other in zip(answers.passes, passes, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5) and one.ranks == other.ranks


ROPES = {
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "longrope": {
        "rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0],
        "original_max_position_embeddings": 16, "factor": 4.0,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rope"),
    [("llama", "dynamic"), ("llama", "longrope"), ("llama", "yarn"), ("mistral", "dynamic"), ("phi3", "longrope")],
)
def test_rows_do_not_depend_on_their_neighbours_with_any_rotary_positions(tmp_path, kind, rope):
    positions = 16 if rope == "dynamic" else 64
    settings = {"rope_scaling": ROPES[rope], "max_position_embeddings": positions, "initializer_range": 0.3}
    families.save(tmp_path, kind, **settings)
    loaded = load(tmp_path, "fp32", "cpu")
    assert (loaded.batching == ONE_LENGTH) == (rope in ("dynamic", "longrope"))
    assert_as_if_alone(tmp_path, requests())


def test_a_padded_batch_would_have_given_other_numbers(tmp_path):
    families.save(tmp_path, rope_scaling=ROPES["dynamic"], max_position_embeddings=16, initializer_range=0.3)
    loaded = load(tmp_path, "fp32", "cpu")
    short, long = torch.arange(3, 12)[None], torch.arange(3, 39)[None].repeat(1, 2)
    before = loaded.model(short).logits
    loaded.model(long)
    twelve = torch.arange(3, 23)[None]
    stale = loaded.model(twelve).logits
    naive.forget_lengths(loaded.model)
    assert not torch.allclose(loaded.model(twelve).logits, stale, atol=1e-4)
    assert torch.equal(loaded.model(short).logits, before)


RECURRENT = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 1, "lru_width": 32, "head_dim": 8, "attention_window_size": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def test_recurrent_gemma_is_not_padded(tmp_path):
    save(tmp_path / "origin", AutoModelForCausalLM, "recurrent_gemma", **RECURRENT)
    card = fetched(tmp_path / "origin", tmp_path / "tiny")
    assert card["batching"] != PADDED
    assert_as_if_alone(tmp_path / "tiny", requests())


def test_a_large_model_is_probed_with_few_layers(monkeypatch):
    monkeypatch.setattr(probe_module, "MOST_PARAMETERS", 0)
    config = AutoConfig.for_model("llama", **(families.COMMON | families.GROUPED | {"num_hidden_layers": 50}))
    built = []
    original = probe_module._random_model
    monkeypatch.setattr(probe_module, "_random_model", lambda *given: built.append(original(*given)) or built[-1])
    assert probe_module.probe(config, "causal", 10**9, 64).batching == PADDED
    assert len(built[0].model.layers) == 2 and config.num_hidden_layers == 50
    bert = AutoConfig.for_model("bert", **COMMON)
    with pytest.raises(UserError, match="is not causal"):
        probe_module.probe(bert, "causal", 10**9, 64)
    monkeypatch.setattr(probe_module, "MOST_OF_A_COPY", 0)
    assert "not probed" in probe_module.probe(config, "causal", 10**9, 64).notes[0]


def test_the_probe_leaves_the_random_numbers_of_the_process_alone():
    config = AutoConfig.for_model("llama", **(families.COMMON | families.GROUPED))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    probe_module.probe(config, "causal", 1, 64)
    assert torch.equal(torch.rand(4), expected)
