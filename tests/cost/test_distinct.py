"""The share of edits with a continuation of their own: as measured from rows, and as the cost model takes it."""

import math

import pandas as pd
import pytest

from benchmarks.distinct import distinct_share
from laser.cost.operations import DISTINCT_SHARES
from laser.cost.operations import distinct_share as by_layer


def rows(**predictions):
    return pd.DataFrame([{"id": row, "prediction": text} for row, texts in predictions.items() for text in texts])


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        (["abc", "abc", "abc"], 0.0),
        (["abc", "xbc", "ybc"], 1.0),
        (["abc", "abd", "abc"], 0.0),  # They part after the last token that is fed back.
        (["abc", "axc", "abd"], 0.25),  # One token alike, two of three distinct after that.
    ],
)
def test_continuations_share_until_they_part(texts, share):
    assert distinct_share(rows(only=texts), list, steps=2) == pytest.approx(share)


def test_the_mean_is_over_examples():
    assert distinct_share(rows(same=["aa", "aa"], apart=["aa", "ba"]), list, steps=1) == pytest.approx(0.5)


def test_a_continuation_that_ended_early_counts_as_it_stands():
    assert distinct_share(rows(only=["a", "ab"]), list, steps=2) == pytest.approx(0.5)


def test_an_example_with_one_edit_has_no_further_ones():
    assert distinct_share(rows(alone=["ab"], apart=["aa", "ba"]), list, steps=1) == 1.0
    assert math.isnan(distinct_share(rows(alone=["ab"]), list, steps=1))
    assert math.isnan(distinct_share(rows(apart=["aa", "ba"]), list, steps=0))


@pytest.mark.parametrize("layers", [1, 2, 4, 30, 80])
def test_every_layer_lies_between_what_was_measured(layers):
    shares = [by_layer(layer, layers) for layer in range(layers)]
    assert shares[-1] == DISTINCT_SHARES[-1][1]
    assert layers == 1 or shares[0] == DISTINCT_SHARES[0][1]
    assert all(min(share for _, share in DISTINCT_SHARES) <= share <= DISTINCT_SHARES[0][1] for share in shares)


def test_a_depth_between_two_that_were_measured_is_interpolated():
    depths = [depth for depth, _ in DISTINCT_SHARES]
    assert depths == sorted(set(depths)) and (depths[0], depths[-1]) == (0, 1)
    (first, high), (second, low) = DISTINCT_SHARES[:2]
    layer, layers = 1, 11
    assert first < layer / (layers - 1) < second
    assert by_layer(layer, layers) == pytest.approx(high + (low - high) * 0.1 / second)
