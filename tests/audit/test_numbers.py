"""The audit's own statistics against those under audit, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from laser.analysis import intervals, statistics
from laser_audit import numbers
from laser_audit.comparing import same_cell


@pytest.fixture(params=[(30, 10), (40, 40), (3000, 3000)], ids=["groups", "alone", "many"])
def drawn(request):
    rows, groups = request.param
    generator = np.random.default_rng(rows)
    labels = [f"g{one}" for one in (generator.integers(0, groups, rows) if groups < rows else range(rows))]
    return generator.normal(size=rows), generator.random(rows) < 0.4, generator.random(rows) < 0.6, labels


def test_intervals(drawn):
    values, base, _, groups = drawn
    names = ("model", "data", "corrected", "loss", "interval")
    for column in (values, 100.0 * base):
        own = numbers.interval(list(column), groups, numbers.stream(3, *names), 200)
        seed = statistics.seed_sequence(3, *names)
        assert own == pytest.approx(statistics.bootstrap_interval(column, groups, seed=seed, resamples=200), rel=1e-12)


def test_paired_tests(drawn):
    values, base, changed, groups = drawn
    seed = statistics.seed_sequence(3, "test")
    theirs = statistics.accuracy_p_value(base, changed, groups, seed=seed, resamples=300)
    assert numbers.paired(list(base), list(changed), groups, numbers.stream(3, "test"), 300) == pytest.approx(theirs)
    theirs = statistics.sign_flip_p_value(values, groups, seed=seed, resamples=300)
    assert numbers.sign_flip(list(values), groups, numbers.stream(3, "test"), 300) == pytest.approx(theirs)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 5), (3, 3), (7, 20), (600, 700), (9000, 9500), (0, 5000)])
def test_mcnemar(lost, won):
    base, changed = [True] * lost + [False] * won, [False] * lost + [True] * won
    expected = min(1.0, 2 * stats.binom.cdf(min(lost, won), lost + won, 0.5))
    assert numbers.mcnemar(base, changed) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_few_groups_are_enumerated():
    values = [1.0, 2.0, -0.5, 3.0, 0.0]
    theirs = statistics.sign_flip_p_value(values, None)
    assert numbers.sign_flip(values, range(5), numbers.stream(0), 10) == theirs


def test_holm():
    values = [0.01, 0.04, 0.03, 0.5, 0.04]
    assert numbers.holm(values) == pytest.approx(statistics.holm(values))


def test_shares_and_constants():
    answers = [" a", "b ", "a", "C", "c"]
    assert numbers.shares(answers) == statistics.shares(answers)
    for options in (True, False):
        best = statistics.best_constant(answers, options)
        assert max(numbers.constants(answers, options)) == pytest.approx(best)


@pytest.mark.parametrize("degrees", [1, 2, 7, 999, 1000, 1001, 39_999, 52_606])
def test_students_quantile_has_the_digits_that_are_compared(degrees):
    assert numbers.student_quantile(numbers.TAIL, degrees) == pytest.approx(
        stats.t.ppf(numbers.TAIL, degrees), rel=1e-14
    )


@pytest.mark.parametrize("rows", [1, 2, 39_999, 52_606])
@pytest.mark.parametrize("right", [0, 1, 20_000, 52_605, 52_606])
def test_intervals_of_shares_and_changes_are_the_same_at_the_papers_size(rows, right):
    values = [1.0] * min(right, rows) + [0.0] * max(0, rows - right)
    changes = [value if row % 3 else -value for row, value in enumerate(values)]
    for own, theirs, measured in (
        (numbers.share_interval, intervals.share_interval, values),
        (numbers.change_interval, intervals.change_interval, changes),
    ):
        for groups in (range(rows), [row // 3 for row in range(rows)]):
            for ours, other in zip(own(measured, groups), theirs(measured, groups), strict=True):
                assert same_cell(str(100 * other), 100 * ours)
