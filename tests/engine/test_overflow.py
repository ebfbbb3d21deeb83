"""A sequence on which the model overflows: none of its neighbours changes, and both engines say which it was."""

import functools
import math

import pytest
import torch

from laser.engine import fast, naive
from laser.engine.attention import separate_attention
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Generation, Pass, Requests
from tests.engine.tiny_models import CONFIGS, LAYERS, made

HOT = 50
"""The token whose embedding is not finite."""
START = (1, 5, 9, 11, 30)


def overflowing(family, value, dtype="fp32"):
    loaded = made(CONFIGS[family](), dtype)
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[HOT, 3] = value
    return loaded


def asked(endings=((HOT, 4), (6, 7), (8,), (8, HOT, 3), (8, 6, 2))):
    """Prompts that begin alike, so that they share a tree; some meet the hot token."""
    passes = [Pass(START + end, ((len(START) + len(end) - 1, 12),), (len(START) + len(end) - 1,)) for end in endings]
    return Requests(tuple(passes), tuple(Generation(one.ids, 6) for one in passes))


def hot(ids):
    return HOT in ids


def assert_same(expected, found, tolerance=1e-4):
    for one, other in zip(expected, found, strict=True):
        for left, right in zip(one.passes, other.passes, strict=True):
            for a, b in zip(left.logprobs, right.logprobs, strict=True):
                assert abs(a - b) <= tolerance or not (math.isfinite(a) or math.isfinite(b))
        assert one.generations == other.generations


@pytest.mark.parametrize(("family", "value"), [("llama", math.nan), ("llama", math.inf), ("gptj", math.inf)])
def test_a_prompt_that_overflows_leaves_those_that_begin_alike_alone(family, value, tmp_path):
    loaded, requests = overflowing(family, value), asked()
    # A tied head would see the embedding, and every logit of the hot token would not be finite.
    assert loaded.model.get_output_embeddings().weight.isfinite().all()
    chosen = [
        (),
        *[(Intervention(matrix, layer, 0.5),) for layer in (0, LAYERS - 1) for matrix in ("q", "u_in", "u_out")],
    ]
    store = FactorStore(tmp_path)
    alone = list(naive.evaluate(loaded, requests, chosen, store, token_budget=1))
    for one in alone:
        for request, answer, tokens in zip(requests.passes, one.passes, one.generations, strict=True):
            assert math.isfinite(answer.logprobs[0]) is not hot(request.ids)
            assert tokens is None or not hot(request.ids)
        assert any(tokens is not None for tokens in one.generations)
    assert_same(alone, naive.evaluate(loaded, requests, chosen, store))
    assert_same(alone, fast.evaluate(loaded, requests, chosen, store))


def test_one_that_overflows_while_it_decodes_leaves_the_others_alone(tmp_path):
    """The hot token is generated: what follows it has no most probable token."""
    loaded = overflowing("llama", math.inf)
    requests = asked([(place, place + 1) for place in range(12, 40)])
    store = FactorStore(tmp_path)
    plain = next(naive.evaluate(made(CONFIGS["llama"]()), requests, [()], store))
    second = [tokens[1] for tokens in plain.generations if len(tokens) > 2]
    often = max(set(second), key=second.count)
    with torch.no_grad():
        embeddings = loaded.model.get_input_embeddings().weight
        embeddings[HOT] = made(CONFIGS["llama"]()).model.get_input_embeddings().weight[HOT]
        embeddings[often, 0] = math.inf
    alone = next(naive.evaluate(loaded, requests, [()], store, token_budget=1))
    lost = [tokens is None for tokens in alone.generations]
    assert any(lost) and not all(lost)
    for place, tokens in enumerate(plain.generations):
        assert lost[place] == (often in requests.generations[place].ids + tokens[:-1])
    assert_same([alone], fast.evaluate(loaded, requests, [()], store))


def test_a_model_that_overflows_on_everything_has_no_answers(tmp_path):
    loaded, requests, store = made(CONFIGS["llama"]()), asked(), FactorStore(tmp_path)
    with torch.no_grad():
        loaded.model.model.layers[0].mlp.down_proj.weight[:] = math.inf
    for engine in (naive.evaluate, fast.evaluate):
        (found,) = engine(loaded, requests, [()], store)
        assert found.generations == [None] * len(requests.generations)
        assert all(math.isnan(one.logprobs[0]) for one in found.passes)


def test_an_edit_that_overflows_leaves_the_others_alone(tmp_path):
    loaded, requests, store = made(CONFIGS["llama"](), "fp16"), asked(), FactorStore(tmp_path)
    chosen = [(), (Intervention("u_out", 1, 0.0),), (Intervention("u_out", 1, 1.0),)]
    before = list(fast.evaluate(loaded, requests, chosen, store))
    with torch.no_grad():
        loaded.model.model.layers[1].mlp.down_proj.weight[:] = 60000.0  # fits fp16, the product does not
    base, zero, whole = fast.evaluate(loaded, requests, chosen, store)
    assert all(math.isnan(one.logprobs[0]) for one in base.passes) and whole.generations[0] is None
    assert zero == before[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_separate_attention_is_attention(dtype):
    torch.manual_seed(1)
    query, keys, values = (torch.randn(2, 3, 5, 8).to(dtype) for _ in range(3))
    mask = torch.zeros(2, 1, 5, 5, dtype=dtype).masked_fill_(torch.ones(5, 5).triu(1).bool(), -math.inf)
    expected = torch.nn.functional.scaled_dot_product_attention(query, keys, values, mask, scale=0.3)
    close = functools.partial(torch.testing.assert_close, rtol=1e-3, atol=1e-6 if dtype == torch.float32 else 2e-3)
    close(separate_attention(query, keys, values, mask, scale=0.3), expected)
    for part in (keys, values):
        for value in (math.nan, math.inf, -math.inf):
            kept = part.clone()
            part[0, :, 3] = value
            found = separate_attention(query, keys, values, mask, scale=0.3)
            close(found[1], expected[1])
            close(found[0, :, :3], expected[0, :, :3])
            # Those who see it get what the usual kernel gives for them alone.
            for place in (3, 4):
                only = slice(place, place + 1), slice(0, place + 1)
                own = torch.nn.functional.scaled_dot_product_attention(
                    query[:1, :, only[0]], keys[:1, :, only[1]], values[:1, :, only[1]], scale=0.3
                )
                close(found[:1, :, only[0]], own, equal_nan=True)
            part.copy_(kept)
