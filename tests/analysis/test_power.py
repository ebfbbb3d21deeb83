import numpy as np
import pytest
from scipy import stats

from benchmarks.power import null_choices, power_at_detectable
from laser.analysis.power import best_of_null, clearly_worse, constant_by_kind, detectable_gain
from laser.analysis.stability import Scores

ALLOWED = 3 * np.sqrt(0.2 * 0.8 / 300)
"""Three standard errors of a power of 80 % in 300 samples."""


def test_a_detectable_gain_is_connors_where_every_row_stands_alone():
    changes = np.zeros(1000)
    changes[:100], changes[100:180] = 1, -1
    gain = detectable_gain(changes)
    by_level, by_power = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    assert pytest.approx((by_level * np.sqrt(0.18) + by_power * np.sqrt(0.18 - gain**2)) ** 2 / gain**2) == 1000
    assert detectable_gain(changes, level=0.005) > gain > detectable_gain(changes, power=0.5)
    assert detectable_gain(np.tile(changes, 4)) == pytest.approx(gain / 2, rel=0.01)


def test_without_any_change_the_gain_that_is_needed_is_that_of_rows_that_all_change_one_way():
    # Six changed rows are the fewest that McNemar's test calls significant; about eight are expected with that power.
    assert 1000 * detectable_gain(np.zeros(1000)) == pytest.approx(7.8, abs=0.2)
    assert np.isnan(detectable_gain(np.zeros(3)))
    grouped = detectable_gain(np.zeros(999), list(np.arange(999) // 3))
    assert 333 * grouped == pytest.approx(7.8, abs=0.2)


@pytest.mark.parametrize(("changed", "facts", "rows", "copied"), [(0.1, 300, 1, 1.0), (0.1, 200, 3, 0.5)])
def test_a_gain_of_that_size_is_found_in_four_samples_of_five(changed, facts, rows, copied):
    power, _ = power_at_detectable(changed, facts, rows, copied, 300, np.random.default_rng(1))
    assert abs(power - 0.8) <= ALLOWED


@pytest.mark.parametrize("harmful", [0, 90])
def test_the_best_of_candidates_that_are_no_better_than_base_is_seldom_significant(harmful):
    assert null_choices(200, harmful, 300, np.random.default_rng(2)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def scores(changes):
    """Return the scores of candidates with these changes, (groups, candidates), beside a base that has half right."""
    base = np.full((len(changes), 1), 0.5)
    correct = np.concatenate([base + changes, base], axis=1)
    names = [("u_in", number, 0.1) for number in range(changes.shape[1])]
    return Scores(names, correct, np.zeros_like(correct), np.zeros_like(correct), np.ones(len(changes)))


def test_a_real_gain_stands_out_and_harmful_candidates_do_not_hide_it():
    generator = np.random.default_rng(3)
    alone = generator.choice([-1, 0, 1], size=(200, 1), p=[0.02, 0.83, 0.15])
    harmful = -generator.choice([0, 1], size=(200, 50), p=[0.5, 0.5])
    gain = 100 * float(alone.mean())
    by_itself = best_of_null(scores(alone), gain, [0], 500)
    among = best_of_null(scores(np.concatenate([harmful, alone], axis=1)), gain, [0], 500)
    assert by_itself.p_value <= 0.01 and among.compared == 1
    assert among == by_itself
    assert best_of_null(scores(alone), gain, [0], 500) == by_itself


def test_more_candidates_give_a_better_best_one():
    generator = np.random.default_rng(4)
    changes = generator.choice([-1, 0, 1], size=(200, 64), p=[0.05, 0.9, 0.05])
    means = [best_of_null(scores(changes[:, :count]), 0.0, [0], 500).mean for count in (1, 8, 64)]
    assert means[0] < means[1] < means[2] and abs(means[0]) < 0.5


def test_candidates_without_a_change_or_all_harmful_give_no_noise():
    nothing = best_of_null(scores(np.zeros((50, 3))), 0.0, [0], 100)
    assert (nothing.mean, nothing.high, nothing.p_value, nothing.compared) == (0.0, 0.0, 1.0, 3)
    assert clearly_worse(-np.ones((50, 2))).all()
    assert np.isnan(best_of_null(scores(-np.ones((50, 2))), 0.0, [0], 100).mean)


def test_a_constant_answer_of_each_kind_is_at_least_as_good_as_one_for_all():
    answers, kinds = [" Euro", "euro", "peso", "Asia", "asia ", "Africa"], ["money"] * 3 + ["place"] * 3
    assert constant_by_kind(answers, kinds) == pytest.approx(100 * 4 / 6)
    assert constant_by_kind(answers, ["all"] * 6) == pytest.approx(100 * 2 / 6)
