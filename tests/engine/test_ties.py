"""Equal logits: the token with the lowest id is the most probable one, in both engines and in all that they give."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laser.engine import fast, naive
from laser.engine.answers import best_tokens, most_probable
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import TOP, Generation, Pass, Requests
from tests.engine.tiny_models import CONFIGS, VOCABULARY, made

EDITS = [(), (Intervention("u_in", 1, 0.5),), (Intervention("q", 2, 0.5),)]


def with_logits(bias):
    """A GPT-J whose logits are `bias`, whatever it reads."""
    loaded = made(CONFIGS["gptj"]())
    with torch.no_grad():
        loaded.model.lm_head.weight.zero_()
        loaded.model.lm_head.bias.copy_(torch.tensor(bias))
    return loaded


@pytest.mark.parametrize("first", [{}, {70: 1.0, 30: 1.0, 50: 1.0}, {2: 1.0, 9: 1.0}, {96: 1.0}], ids=str)
@pytest.mark.parametrize("engine", [naive, fast])
def test_the_lowest_id_wins(engine, first, tmp_path):
    loaded = with_logits([first.get(token, 0.0) for token in range(VOCABULARY)])
    requests = Requests((Pass((1, 5, 9), ((2, 50), (2, 0)), (2, 0)),), (Generation((1, 5, 9), 3),))
    best = (*sorted(first), *(token for token in range(VOCABULARY) if token not in first))
    rank_of_50 = 1 + (len(first) if 50 not in first else 0)
    without_end = [token for token in best if token != 2]
    expected = (without_end[0], 2) if best[0] == 2 else (best[0],) * 3
    for found in engine.evaluate(loaded, requests, EDITS, FactorStore(tmp_path)):
        assert found.passes[0].top_ids == (best[:TOP], best[:TOP])
        assert found.passes[0].ranks == (rank_of_50, 1 + (len(first) if 0 not in first else 0))
        assert found.generations == [expected]


@given(st.lists(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0]), min_size=12, max_size=12), min_size=1, max_size=5))
def test_best_tokens_are_in_order_of_value_then_id(rows):
    values, tokens = best_tokens(torch.tensor(rows))
    for row, own_values, own in zip(rows, values.tolist(), tokens.tolist(), strict=True):
        assert own == sorted(range(12), key=lambda token: (-row[token], token))[:TOP]
        assert own_values == [row[token] for token in own]
    assert most_probable(torch.tensor(rows)).tolist() == tokens[:, 0].tolist()
