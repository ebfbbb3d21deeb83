import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks import coverage
from laser.analysis import comparison, intervals
from laser_audit import numbers


@pytest.mark.parametrize("right", [0, 1, 30, 134, 267, 268])
def test_of_independent_rows_it_is_the_exact_interval(right):
    values = [1.0] * right + [0.0] * (268 - right)
    exact = binomtest(right, 268).proportion_ci(method="exact")
    assert intervals.share_interval(values) == pytest.approx(tuple(exact), abs=0.001)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_rows_that_are_all_alike_still_have_an_interval(value):
    groups = [index // 3 for index in range(804)]
    bounds = comparison.estimate([bool(value)] * 804, groups, ("x",), truth=True)
    low, high = binomtest(int(value) * 268, 268).proportion_ci(method="exact")
    assert (bounds["low"], bounds["high"]) == pytest.approx((100 * low, 100 * high), abs=0.02)
    change = comparison.difference([bool(value)] * 804, [bool(value)] * 804, groups, ("x",), truth=True)
    assert change["difference"] == 0
    assert -1.2 < change["difference_low"] < -0.8
    assert change["difference_high"] == pytest.approx(-change["difference_low"])


def test_copies_of_a_row_add_nothing():
    values = np.random.default_rng(0).integers(0, 2, 200).astype(float)
    copied, groups = np.repeat(values, 3), np.repeat(np.arange(200), 3).tolist()
    assert intervals.share_interval(copied, groups) == pytest.approx(intervals.share_interval(values), abs=0.002)
    assert intervals.change_interval(copied, groups) == pytest.approx(intervals.change_interval(values))
    apart = intervals.share_interval(copied)
    assert apart[1] - apart[0] < 0.65 * np.diff(intervals.share_interval(copied, groups))[0]


def test_one_group_says_nothing_of_others():
    assert intervals.share_interval([1.0, 0.0, 1.0], ["a"] * 3) == (0.0, 1.0)


def test_change_by_hand():
    better, worse, n = 12, 3, 100
    up, down = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    error = np.sqrt((up + down - (up - down) ** 2) / (n + 1))
    low, high = intervals.change_interval([1.0] * better + [-1.0] * worse + [0.0] * (n - better - worse))
    assert (low + high) / 2 == pytest.approx(up - down)
    assert (high - low) / 2 == pytest.approx(1.984 * error, rel=1e-3)


def test_more_confidence_is_wider_and_bounds_stay_possible(monkeypatch):
    values, groups = [1.0] * 58 + [0.0] * 2, [index // 2 for index in range(60)]
    for interval, least in ((intervals.share_interval, 0), (intervals.change_interval, -1)):
        bounds = []
        for level in (0.9, 0.95, 0.99):
            monkeypatch.setattr(intervals, "CONFIDENCE", level)
            bounds.append(interval(values, groups))
        assert all(least <= low < high <= 1 for low, high in bounds)
        assert bounds[0][0] > bounds[1][0] > bounds[2][0]
    low, high = intervals.change_interval([1.0] * 3)
    assert -1 <= low < high <= 1


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("facts", [60, 268, 3000])
def test_intervals_hold_the_truth_93_times_in_100(facts, rows):
    generator = np.random.default_rng(facts + rows)
    for copied in coverage.COPIED if rows > 1 else (1.0,):
        for share in coverage.SHARES:
            counts = coverage.facts_drawn((share, 0.0), facts, rows, copied, 4000, generator)
            assert coverage.covered_shares(counts, rows, share) >= 0.93
        for better, worse in coverage.CHANGES:
            counts = coverage.facts_drawn((better, worse), facts, rows, copied, 4000, generator)
            assert coverage.covered_changes(counts, rows, better - worse) >= 0.93


def test_the_percentile_bootstrap_does_not():
    generator = np.random.default_rng(1)
    counts = coverage.facts_drawn((0.01, 0.0), 60, 1, 1.0, 300, generator)
    assert coverage.covered_bootstrap(counts, 1, 0.01, generator) < 0.7


@pytest.mark.parametrize("chance", [0.0, 0.002, 0.3, 0.99, 1.0])
@pytest.mark.parametrize(("rows", "groups"), [(2, 2), (40, 7), (180, 60), (300, 300), (9000, 3000), (52606, 21000)])
def test_the_audit_finds_the_same_bounds(rows, groups, chance):
    generator = np.random.default_rng(rows)
    labels = list(generator.integers(0, groups, rows)) if groups < rows else list(range(rows))
    right, changed = ((generator.random(rows) < chance).astype(float) for _ in range(2))
    for own, theirs, values in (
        (numbers.share_interval, intervals.share_interval, right),
        (numbers.change_interval, intervals.change_interval, changed - right),
    ):
        assert own(list(values), labels) == pytest.approx(theirs(values, labels), rel=1e-12, abs=1e-13)
