"""An fp32 model with fp16-exact weights answers alike with fp32 products and with split ones."""

import copy
from dataclasses import replace

import pytest
import torch

from laser.engine import fast, naive
from laser.engine.families import network
from laser.engine.live_edits import edited
from laser.engine.products import products_of, use_split_products
from laser.models.adapter import parameter_view
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import KINDS, Intervention
from tests.engine.tiny_models import CONFIGS, MASKED, assert_agree, made, masked_requests, requests

FAMILIES = ["llama_bias", "gpt_neox", "gemma3_text", "bert", "roberta"]
"""Biases, packed matrices, norms that stay fp32, masked heads. (GPT-2 has no linear layers but its head.)"""


@pytest.fixture
def store(tmp_path):
    return FactorStore(tmp_path)


def pair(family):
    """Return a model whose weights are exact in fp16 twice: with fp32 products, and with split ones."""
    single = made(CONFIGS[family]())
    for parameter in single.model.parameters():
        parameter.copy_(parameter.half().float())
    split = replace(single, model=copy.deepcopy(single.model))
    assert use_split_products(split.model)
    return single, split


@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_answer_as_with_fp32_products(family, store):
    single, split = pair(family)
    asked = masked_requests() if family in MASKED else requests(longest=4)
    matrices = list(network(single.model).blocks[1].linears)
    edits = [(), *((Intervention(matrix, 1, 0.3),) for matrix in matrices)]
    edits += [(Intervention("u_out", 2, 0.4, kind),) for kind in KINDS]
    expected = list(naive.evaluate(single, asked, edits, store))
    assert_agree(expected, fast.evaluate(split, asked, edits, store, token_budget=400))
    assert_agree(expected, naive.evaluate(split, asked, edits, store))


def test_an_edited_weight_is_fp32_and_the_original_comes_back(store):
    single, split = pair("llama")
    one = Intervention("u_out", 1, 0.3)
    before = {name: value.clone() for name, value in split.model.state_dict().items()}
    with edited(split, [one], store), edited(single, [one], store):
        view = parameter_view(split.model, split.config, 1, "u_out")
        assert view.dtype == torch.float32
        assert torch.equal(view, parameter_view(single.model, single.config, 1, "u_out"))
        assert fast.supported(split, network(split.model), (Intervention("u_in", 1, 0.5),))
    after = split.model.state_dict()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_the_weights_take_half_the_memory_and_the_run_says_so():
    single, split = pair("llama")
    assert products_of(single.model, "fp32") == "fp32"
    assert products_of(split.model, "fp32") == "fp32-split"
    assert split.model.model.layers[0].mlp.up_proj.weight.element_size() == 2
    assert split.model.model.embed_tokens.weight.dtype == torch.float32


def test_weights_that_are_not_exact_in_fp16_stay():
    loaded = made(CONFIGS["llama"]())
    assert not use_split_products(loaded.model)
    assert products_of(loaded.model, "fp32") == "fp32"
