import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from laser.analysis import statistics


def test_interval_agrees_with_scipy_where_every_row_is_a_group():
    losses = np.random.default_rng(0).gamma(2.0, 1.5, 400)
    ours = statistics.bootstrap_interval(losses, seed=1)
    scipys = scipy.stats.bootstrap(
        (losses,), np.mean, n_resamples=10_000, method="percentile", rng=2
    ).confidence_interval
    assert ours == pytest.approx((scipys.low, scipys.high), abs=0.02)


def test_interval_of_an_accuracy_is_the_binomial_one():
    correct = np.array([100.0] * 30 + [0.0] * 70)
    low, high = statistics.bootstrap_interval(correct, seed=0, resamples=200_000)
    exact = scipy.stats.binom(100, 0.3)
    assert (low, high) == (exact.ppf(0.025), exact.ppf(0.975))


def test_rows_of_one_group_are_not_counted_as_independent():
    values = np.random.default_rng(3).integers(0, 2, 200).astype(float)
    groups = [f"g{index}" for index in range(200)]
    alone = statistics.bootstrap_interval(values, groups, seed=0)
    copied = statistics.bootstrap_interval(np.repeat(values, 3), np.repeat(groups, 3).tolist(), seed=0)
    naive = statistics.bootstrap_interval(np.repeat(values, 3), seed=0)
    assert copied == pytest.approx(alone, abs=1e-12)
    assert naive[1] - naive[0] < 0.7 * (alone[1] - alone[0])


def test_interval_with_groups_of_unequal_size_belongs_to_the_mean_over_rows(monkeypatch):
    monkeypatch.setattr(statistics, "CONFIDENCE", 0.4)
    values, groups = [1.0] * 9 + [0.0], ["a"] * 9 + ["b"]
    low, high = statistics.bootstrap_interval(values, groups, seed=0)
    # Half of the resamples hold both groups (mean 0.9), a quarter each one alone: the middle 40 % is 0.9.
    assert (low, high) == (0.9, 0.9)


@pytest.mark.parametrize("count", [900, 1500])
def test_both_ways_of_drawing_give_the_same_interval(monkeypatch, count):
    losses = np.random.default_rng(4).standard_normal(count)
    few = statistics.bootstrap_interval(losses, seed=0, resamples=2000)
    monkeypatch.setattr(statistics, "_MANY_VALUES", 0 if count < 1000 else 10_000)
    assert statistics.bootstrap_interval(losses, seed=0, resamples=2000) == pytest.approx(few, abs=0.01)


def test_interval_covers_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        low, high = statistics.bootstrap_interval(generator.normal(2.0, 1.0, 60), seed=trial, resamples=500)
        covered += low <= 2.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_mcnemar_by_hand():
    base = [True] * 3 + [False] * 10 + [True] * 20
    changed = [False] * 3 + [True] * 10 + [True] * 20
    by_hand = 2 * sum(math.comb(13, k) for k in range(4)) / 2**13
    assert statistics.mcnemar_p_value(base, changed) == pytest.approx(by_hand, rel=1e-12)
    assert statistics.accuracy_p_value(base, changed, list(range(33))) == pytest.approx(by_hand, rel=1e-12)


def test_mcnemar_without_any_change_is_1():
    assert statistics.mcnemar_p_value([True, False], [True, False]) == 1.0


def test_sign_flip_by_hand():
    # |±1 ± 2 ± 3| >= 6 in 2 of 8 patterns; |±1 ± 2 ± 3| >= 4 in 4 of 8.
    assert statistics.sign_flip_p_value([1.0, 2.0, 3.0]) == 2 / 8
    assert statistics.sign_flip_p_value([-1.0, 2.0, 3.0]) == 4 / 8
    assert statistics.sign_flip_p_value([0.0, 0.0]) == 1.0


def test_sign_flip_on_booleans_is_mcnemar_when_rows_are_alone():
    differences = [1.0] * 9 + [-1.0] * 3 + [0.0] * 50
    base = [d < 0 for d in differences]
    changed = [d > 0 for d in differences]
    assert statistics.sign_flip_p_value(differences) == pytest.approx(
        statistics.mcnemar_p_value(base, changed), rel=1e-12
    )


def test_drawn_sign_flips_approach_scipys_permutation_test():
    differences = np.random.default_rng(6).normal(0.25, 1.0, 60)
    scipys = scipy.stats.permutation_test(
        (differences, np.zeros(60)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert statistics.sign_flip_p_value(differences, seed=0) == pytest.approx(scipys, abs=0.01)


def test_a_drawn_p_value_is_never_0():
    differences = np.random.default_rng(9).normal(5.0, 0.1, 40)
    assert statistics.sign_flip_p_value(differences, seed=0, resamples=99) == 1 / 100


def test_both_ways_of_flipping_agree(monkeypatch):
    differences = np.random.default_rng(7).normal(0.15, 1.0, 200)
    binomial = statistics.sign_flip_p_value(differences, seed=0)
    monkeypatch.setattr(statistics, "_MANY_VALUES", 0)
    assert statistics.sign_flip_p_value(differences, seed=0) == pytest.approx(binomial, abs=0.012)


def test_swapping_whole_groups_is_more_cautious_than_swapping_rows():
    base = [False] * 30 + [True] * 12
    changed = [True] * 30 + [False] * 12
    groups = [index // 6 for index in range(42)]
    alone = statistics.accuracy_p_value(base, changed)
    grouped = statistics.accuracy_p_value(base, changed, groups)
    assert alone < 0.01
    # Seven groups of equal size, five up and two down: 2·(C(7,0) + C(7,1) + C(7,2)) / 2^7.
    assert grouped == pytest.approx(2 * 29 / 128)


def test_equal_seeds_give_equal_results_and_other_seeds_do_not():
    losses = np.random.default_rng(8).standard_normal(2000)
    first, second, other = (
        statistics.bootstrap_interval(losses, seed=seed, resamples=500) for seed in ([0, 1], [0, 1], [0, 2])
    )
    assert first == second != other
    shifted = losses + 0.03
    first, second = (statistics.sign_flip_p_value(shifted, seed=1, resamples=500) for _ in range(2))
    assert first == second
    assert statistics.seed_sequence(0, "a", "bc") != statistics.seed_sequence(0, "ab", "c")


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_holm_never_makes_a_p_value_smaller_and_keeps_their_order(values):
    adjusted = statistics.holm(values)
    assert all(a >= p or a == pytest.approx(p) for a, p in zip(adjusted, values, strict=True))
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranked = [adjusted[index] for index in order]
    assert all(first <= second + 1e-12 for first, second in itertools.pairwise(ranked))


def test_the_best_constant_answer():
    assert statistics.best_constant(["true", "false", "true", "true"], True) == 75.0
    assert statistics.best_constant([" Paris", " paris", " Rome"], False) == pytest.approx(200 / 3)
    assert statistics.best_constant([" Paris", " paris", " Rome"], True) == pytest.approx(100 / 3)


def test_shares_are_ordered_and_sum_to_1():
    found = statistics.shares(["b", " a", "a ", "c"])
    assert list(found) == ["a", "b", "c"]
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("values, groups", [([], None), ([1.0, math.nan], None), ([1.0, 2.0], ["a"])])
def test_what_is_no_sample_is_refused(values, groups):
    with pytest.raises(ValueError):
        statistics.bootstrap_interval(values, groups)
