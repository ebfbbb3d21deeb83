"""Greedy decoding with and without drafts: continuations part from base's after different numbers of tokens."""

from functools import cache

import pytest

from laser.engine import fast, naive
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Requests
from tests.engine.tiny_models import CAUSAL, DEVICE, assert_agree, requests, tiny

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


def drafts_of(loaded, wanted, store):
    return next(iter(naive.evaluate(loaded, wanted, [()], store))).generations


@cache
def reference(family, folder):
    """Return the reference engine's answers, which are the same for all drafts."""
    return list(naive.evaluate(tiny(family), asked(), edits(), FactorStore(folder)))


@pytest.mark.parametrize("given", ["none", "right", "wrong", "short", "mixed"])
@pytest.mark.parametrize("family", CAUSAL)
def test_drafts_change_nothing(family, given, store, monkeypatch, tmp_path_factory):
    monkeypatch.setitem(fast.WORTHWHILE, DEVICE.type, 0.0)
    loaded = tiny(family)
    wanted = asked()
    expected = reference(family, tmp_path_factory.getbasetemp() / "reference")
    base = expected[0].generations
    wrong = [tuple((token + 1) % 97 for token in tokens) for tokens in base]
    drafts = {
        "none": None,
        "right": base,
        "wrong": wrong,
        "short": [tokens[:3] for tokens in base],
        "mixed": [(base, wrong, [()] * len(base), [tokens[:1] for tokens in base])[i % 4][i] for i in range(len(base))],
    }[given]
    assert_agree(expected, fast.evaluate(loaded, wanted, edits(), store, token_budget=500, drafts=drafts))


def test_the_continuations_part_at_many_places(store):
    """Without this the test above could pass on continuations that never leave the draft, or always do at once."""
    loaded = tiny("llama")
    found = list(fast.evaluate(loaded, asked(), edits(), store))
    places = set().union(*(divergences(found[0].generations, one.generations) for one in found[1:]))
    assert {-1, 0, 1, 2, 3} <= places
    assert max(places) >= 6


@pytest.mark.parametrize("ends", [(), (2,), tuple(range(10, 40))])
@pytest.mark.parametrize("offered", [False, True])
def test_end_tokens(ends, offered, store, monkeypatch):
    monkeypatch.setitem(fast.WORTHWHILE, DEVICE.type, 0.0)
    loaded = tiny("llama", ends=ends)
    wanted = asked(5)
    expected = list(naive.evaluate(loaded, wanted, edits(), store))
    drafts = expected[0].generations if offered else None
    assert_agree(expected, fast.evaluate(loaded, wanted, edits(), store, drafts=drafts))
    generated = [tokens for one in expected for tokens in one.generations]
    if len(ends) > 1:
        assert any(len(tokens) < LENGTH and tokens[-1] in ends for tokens in generated)
        assert not any(tokens[0] in ends for tokens in generated)


def test_an_edit_that_rejects_drafts_is_offered_no_more(store, monkeypatch):
    loaded = tiny("llama")
    wanted = asked()
    wrong = [tuple((token + 1) % 97 for token in tokens) for tokens in drafts_of(loaded, wanted, store)]
    seen = []
    real = fast._run_chunk

    def watched(job, batch, shared, chunk, with_drafts):
        seen.extend((with_drafts, edit) for edit in chunk)
        return real(job, batch, shared, chunk, with_drafts)

    monkeypatch.setattr(fast, "_run_chunk", watched)
    chosen = edits()[:-1]
    expected = list(naive.evaluate(loaded, wanted, chosen, store))
    assert_agree(expected, fast.evaluate(loaded, wanted, chosen, store, token_budget=64, drafts=wrong))
    first = [(True, edit) for edit in range(len(chosen))]
    assert seen[: len(chosen)] == first
    assert not any(offered for offered, _ in seen[len(chosen) :])
    assert len(seen) > len(chosen)


def test_right_drafts_save_steps(store, monkeypatch):
    loaded = tiny("llama")
    wanted = asked()
    steps = []
    real = fast.continue_greedily
    monkeypatch.setattr(fast, "continue_greedily", lambda *arguments: (steps.append(1), real(*arguments))[1])
    drafts = drafts_of(loaded, wanted, store)
    list(fast.evaluate(loaded, wanted, [()], store, token_budget=100_000, drafts=drafts))
    assert not steps
    list(fast.evaluate(loaded, wanted, [()], store, token_budget=100_000))
    assert len(steps) == 1


def test_drafts_are_found_where_steps_are_slow(store, monkeypatch):
    """On a device that is not the CPU the base model's own answers are computed first."""

    class Slow:
        type = "cuda"

    loaded = tiny("gptj")
    calls = []
    real = fast._evaluate

    def watched(loaded, net, requests, edits, store, budget, progress, drafts):
        calls.append((dict(edits), drafts))
        loaded.device = original
        return real(loaded, net, requests, edits, store, budget, progress, drafts)

    original = loaded.device
    expected = list(naive.evaluate(loaded, asked(), edits(), store))
    monkeypatch.setattr(fast, "_evaluate", watched)
    loaded.device = Slow()
    try:
        found = list(fast.evaluate(loaded, asked(), edits(), store))
    finally:
        loaded.device = original
    assert_agree(expected, found)
    assert [len(one) for one, _ in calls] == [1, len(edits())]
    assert calls[1][1] == expected[0].generations
