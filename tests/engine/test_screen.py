import dataclasses

import pytest
import torch
from torch import nn

from laser.engine import answers, fast, screen
from laser.engine.families import network
from laser.engine.screen import SPARE, TILE, UNIT, UNSCREENED, candidates, most_probable, screen_for, screen_of
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Generation, Requests
from tests.engine.tiny_models import tiny


def head(rows=1000, width=96, bias=False, seed=0, spread=1.0):
    """Return a head whose rows have norms that differ by up to e^spread, many of them nearly equal."""
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(width, rows, bias=bias)
    with torch.no_grad():
        drawn = torch.randn(rows, width, generator=generator)
        drawn[rows // 2 :] = drawn[: rows - rows // 2] * (
            1 + 1e-4 * torch.randn(rows - rows // 2, 1, generator=generator)
        )
        linear.weight.copy_(drawn * (spread * torch.rand(rows, 1, generator=generator)).exp())
        if bias:
            linear.bias.copy_(3 * torch.randn(rows, generator=generator))
    return linear


def states(rows=200, width=96, seed=1):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 10


HEADS = [head(), head(1024), head(37, spread=3.0), head(1500, 2048), head(999, bias=True), head(640, bias=True, seed=7)]


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 3, 200])  # few rows are multiplied by other kernels
@pytest.mark.parametrize("linear", HEADS)
def test_rough_logits_stay_within_their_bound(linear, rows):
    made, asked = screen_of(linear), states(rows, linear.in_features)
    rough = torch.nn.functional.linear(asked.bfloat16(), made.rough, made.rough_bias).double()
    exact = torch.nn.functional.linear(
        asked.double(), linear.weight.double(), None if linear.bias is None else linear.bias.double()
    )[:, made.tokens]
    error = SPARE * (2 * UNIT + UNIT**2 + 2 * linear.in_features * screen.SUM)
    norms, biases = made.norms.repeat_interleave(TILE), made.biases.repeat_interleave(TILE)
    bound = error * asked.norm(dim=1)[:, None] * norms + SPARE * UNIT * (biases + rough.abs())
    assert bool(((rough - exact).abs() <= bound).all())
    # The bound is of the errors' own size, or the screen would keep far too many tokens.
    assert float(((rough - exact).abs() / bound).max()) > 0.02


@torch.inference_mode()
@pytest.mark.parametrize("linear", HEADS)
def test_the_largest_logit_is_always_among_the_candidates(linear):
    asked = states(width=linear.in_features)
    rows, tokens = candidates(screen_of(linear), asked)
    exact = torch.nn.functional.linear(
        asked.double(), linear.weight.double(), None if linear.bias is None else linear.bias.double()
    ).argmax(dim=1)
    kept = set(zip(rows.tolist(), tokens.tolist(), strict=True))
    crowded = set(range(len(asked))) - set(rows.tolist())
    assert all((row, token) in kept for row, token in enumerate(exact.tolist()) if row not in crowded)
    assert len(crowded) < len(asked) / 2


@torch.inference_mode()
@pytest.mark.parametrize("linear", HEADS)
def test_the_chosen_token_is_the_heads(linear):
    asked = states(width=linear.in_features)
    chosen, logits = most_probable(screen_of(linear), asked), linear(asked)
    judged = chosen != UNSCREENED
    best = logits[judged].max(dim=1).values
    reached = logits[judged].gather(1, chosen[judged, None])[:, 0]
    # Sums in another order: two logits this near to each other may change places.
    torch.testing.assert_close(reached, best, rtol=2e-6, atol=2e-5)


@torch.inference_mode()
def test_the_first_of_equal_tokens_is_chosen():
    linear = head(256)
    linear.weight[200] = linear.weight[17] = linear.weight[90] = 5 * linear.weight[3]
    asked = linear.weight[17:18] * torch.tensor([[1.0], [2.0]])
    assert most_probable(screen_of(linear), asked).tolist() == [17, 17]


@torch.inference_mode()
def test_states_that_cannot_be_judged_are_left_to_the_head():
    linear = head(8192, 64)
    asked = states(6, 64)
    asked[0] = 0.0
    asked[1, 3] = float("nan")
    asked[2, 3] = float("inf")
    asked[3] = 1e38
    asked[4] = 1e-38
    chosen = most_probable(screen_of(linear), asked)
    assert (chosen[:5] == UNSCREENED).all() and chosen[5] == linear(asked[5]).argmax()


def test_small_heads_half_precision_and_processors_without_the_instructions_go_without(monkeypatch):
    monkeypatch.setattr(screen, "has_bf16_products", lambda: True)
    large = nn.Linear(1024, 4096, bias=False)
    assert screen_for(large) is not None
    assert screen_for(nn.Linear(64, 1024)) is None and screen_for(nn.Identity()) is None
    assert screen_for(nn.Linear(1024, 4096, bias=False).half()) is None
    monkeypatch.setattr(screen, "has_bf16_products", lambda: False)
    assert screen_for(large) is None


@torch.inference_mode()
def test_next_tokens_are_those_of_whole_logits_and_none_where_nothing_is_finite():
    net = network(tiny("gptj").model)
    hidden = torch.randn(50, net.blocks[0].linears["q"].weight.shape[1], generator=torch.Generator().manual_seed(3))
    hidden[7] = float("nan")
    rough = dataclasses.replace(net, screen=screen_of(net.head))
    whole, screened = (answers.next_tokens(each, hidden) for each in (net, rough))
    assert torch.equal(whole, screened) and int(whole[7]) == answers.NO_TOKEN


@pytest.mark.parametrize("family", ["llama", "gptj", "gemma3_text"])
def test_generations_of_the_engine_are_the_same_with_and_without(monkeypatch, tmp_path, family):
    loaded = tiny(family)
    prompts = [tuple(3 + (7 * start + step) % 50 for step in range(4 + start % 3)) for start in range(12)]
    asked = Requests(generations=tuple(Generation(ids, 8) for ids in prompts))
    edits = [(), *[(Intervention("u_out", layer, rho),) for layer in (0, 1) for rho in (0.6, 0.2)]]
    store = FactorStore(tmp_path)
    calls = []

    def forced(linear):
        calls.append(linear)
        return screen_of(linear)

    plain = list(fast.evaluate(loaded, asked, edits, store))
    monkeypatch.setattr(fast, "screen_for", forced)
    assert list(fast.evaluate(loaded, asked, edits, store)) == plain and calls
