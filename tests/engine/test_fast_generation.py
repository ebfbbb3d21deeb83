"""Greedy decoding of many edits together: continuations part from base's after different numbers of tokens."""

import pytest

from laser.engine import fast, naive
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Requests
from tests.engine.tiny_models import assert_agree, requests, tiny

LENGTH = 12


@pytest.fixture
def store(tmp_path):
    return FactorStore(tmp_path)


def edits(layer=1):
    mild = [(Intervention("u_in", layer, rho),) for rho in (0.7, 0.85, 0.9, 0.95, 1.0)]
    return [(), *mild, (Intervention("u_out", layer, 0.1),), (Intervention("o", layer, 0.9),)]


def asked(seed=0):
    return Requests(generations=requests(seed, count=24, longest=LENGTH).generations)


def divergences(base, edited):
    return {
        next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), -1)
        for one, other in zip(base, edited, strict=True)
    }


@pytest.mark.parametrize("family", ["llama", "gptj", "gpt2", "gemma3_text"])
def test_continuations_are_those_of_the_reference_engine(family, store):
    loaded = tiny(family)
    expected = list(naive.evaluate(loaded, asked(), edits(), store))
    for budget in (40, 500, 100_000):
        assert_agree(expected, fast.evaluate(loaded, asked(), edits(), store, token_budget=budget))


def test_the_continuations_part_at_many_places(store):
    """Without this the test above could pass on continuations that never part, or always do at once."""
    loaded = tiny("llama")
    found = list(fast.evaluate(loaded, asked(), edits(), store))
    places = set().union(*(divergences(found[0].generations, one.generations) for one in found[1:]))
    assert {-1, 0, 1, 2, 3} <= places
    assert max(places) >= 6


@pytest.mark.parametrize("ends", [(), (2,), tuple(range(10, 40))])
def test_end_tokens(ends, store):
    loaded = tiny("llama", ends=ends)
    wanted = asked(5)
    expected = list(naive.evaluate(loaded, wanted, edits(), store))
    assert_agree(expected, fast.evaluate(loaded, wanted, edits(), store))
    generated = [tokens for one in expected for tokens in one.generations]
    if len(ends) > 1:
        assert any(len(tokens) < LENGTH and tokens[-1] in ends for tokens in generated)
        assert not any(tokens[0] in ends for tokens in generated)
