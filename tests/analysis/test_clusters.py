"""Intervals over few clusters: agreement with textbook formulas, and coverage where clusters differ in their truth."""

import numpy as np
import pytest
from scipy import stats

from laser.analysis.clusters import between_clusters, cluster_interval, effective_clusters, spread
from laser.analysis.intervals import change_interval

SAMPLES = 250


def test_clusters_of_equal_size_give_students_interval_of_their_means():
    means = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    low, high = cluster_interval(np.repeat(means, 7), np.repeat(np.arange(5), 7))
    expected = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert (low, high) == pytest.approx(expected)


def test_one_large_cluster_counts_for_itself_and_not_for_the_number_of_small_ones():
    assert effective_clusters([5, 5, 5, 5]) == pytest.approx(4)
    assert effective_clusters([1000, *[1] * 50]) < 1.2
    values = np.concatenate([np.ones(1000), np.zeros(50)])
    low, high = cluster_interval(values, [0] * 1000 + list(range(1, 51)))
    assert low < 0 < 1 < high


@pytest.mark.parametrize("labels", [["a"] * 4, ["a"]])
def test_one_cluster_says_nothing_about_others(labels):
    assert np.isnan(cluster_interval(np.ones(len(labels)), labels)).all()
    assert np.isnan(between_clusters(np.ones(len(labels)), labels, range(len(labels)))).all()


def of_templates(generator, clusters, size, between):
    """Return changes of rows in templates whose true gains differ, and the labels of templates."""
    chance = 0.05 + between * generator.random(clusters)
    better = generator.random((clusters, size)) < chance[:, None]
    worse = generator.random((clusters, size)) < 0.05
    return (better.astype(float) - worse).ravel(), np.repeat(np.arange(clusters), size)


@pytest.mark.parametrize("clusters", [5, 9, 30])
def test_the_interval_over_templates_holds_the_gain_on_other_templates(clusters):
    generator = np.random.default_rng(clusters)
    truth, hits = 0.1, {"templates": 0, "rows": 0}
    for _ in range(SAMPLES):
        changes, labels = of_templates(generator, clusters, 90, 0.2)
        for name, (low, high) in (
            ("templates", cluster_interval(changes, labels)),
            ("rows", change_interval(changes, list(range(len(changes))))),
        ):
            hits[name] += low <= truth <= high
    assert hits["templates"] / SAMPLES >= 0.91
    # Rows alone do not: they say nothing about other templates.
    assert hits["rows"] / SAMPLES < 0.85


def test_the_spread_between_templates_is_that_of_their_true_gains():
    generator, held, values = np.random.default_rng(1), 0, []
    for _ in range(SAMPLES):
        changes, labels = of_templates(generator, 12, 90, 0.3)
        value, low, high = between_clusters(changes, labels, range(len(changes)))
        values.append(value)
        held += low <= 0.3 / np.sqrt(12) <= high
    assert np.mean(values) == pytest.approx(0.3 / np.sqrt(12), abs=0.01)
    assert held / SAMPLES >= 0.91


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_templates_of_one_true_gain_show_a_spread_in_few_samples(alike):
    generator, above = np.random.default_rng(2), 0
    for _ in range(SAMPLES):
        # Facts asked in three templates each, whose outcomes are the same with some probability.
        shared = generator.choice([-1, 0, 1], (120, 1), p=[0.05, 0.8, 0.15])
        own = generator.choice([-1, 0, 1], (120, 3), p=[0.05, 0.8, 0.15])
        changes = np.where(generator.random((120, 3)) < alike, shared, own)
        _, low, _ = between_clusters(changes.ravel(), np.tile(np.arange(3), 120), np.repeat(np.arange(120), 3))
        above += low > 0
    assert above / SAMPLES <= 0.05


def test_where_nothing_changes_there_is_no_spread_and_a_far_mean_is_seen():
    nothing = np.zeros(30)
    assert between_clusters(nothing, np.tile([0, 1, 2], 10), np.repeat(np.arange(10), 3)) == (0.0, 0.0, 0.0)
    value, low, high = spread(np.array([0.0, 0.0, 10.0]), np.eye(3))
    assert low < value < high and low > 2
    # Of independent means with one variance, the estimate is the textbook's: the means' variance less that of errors.
    means = np.array([1.0, 5.0, 2.0, 9.0])
    assert spread(means, np.eye(4))[0] == pytest.approx(np.sqrt(means.var(ddof=1) - 1))
