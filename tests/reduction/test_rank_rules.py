"""Ranks from singular values alone: Marchenko-Pastur's law by its known numbers, and matrices whose rank is planted."""

import math

import numpy as np
import pytest
import torch

from laser.reduction.rank_rules import describe, edge, median_of_noise, nearest_rho, noise, ranks
from laser.reduction.svd import effective_rank


def spectrum(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def gaussian(shape, deviation=1.0, seed=0):
    return deviation * np.random.default_rng(seed).standard_normal(shape)


def planted(shape, strengths, deviation, seed=0):
    """Noise and, in random directions, components of given singular values."""
    draw = np.random.default_rng([seed, 1])
    left, right = (np.linalg.qr(draw.standard_normal((size, len(strengths))))[0] for size in shape)
    return gaussian(shape, deviation, seed) + (left * strengths) @ right.T


@pytest.mark.parametrize("ratio", [0.05, 0.25, 0.5, 0.75, 1.0])
def test_the_median_of_noise_is_that_of_the_optimal_threshold_in_the_literature(ratio):
    """Gavish and Donoho: ω(β) = λ(β) / sqrt(μ), which 0.56 β³ − 0.95 β² + 1.82 β + 1.43 meets within 0.02."""
    threshold = math.sqrt(2 * (ratio + 1) + 8 * ratio / (ratio + 1 + math.sqrt(ratio**2 + 14 * ratio + 1)))
    printed = 0.56 * ratio**3 - 0.95 * ratio**2 + 1.82 * ratio + 1.43
    assert threshold / math.sqrt(median_of_noise(ratio)) == pytest.approx(printed, abs=0.02)


def test_the_median_of_square_noise_has_the_printed_digits():
    assert 4 / math.sqrt(3) / math.sqrt(median_of_noise(1.0)) == pytest.approx(2.858, abs=5e-4)


def test_the_median_of_noise_is_that_of_noise():
    values = spectrum(gaussian((300, 900))) ** 2 / 900
    assert np.median(values) == pytest.approx(median_of_noise(1 / 3), rel=0.01)


@pytest.mark.parametrize("shape", [(300, 300), (200, 600), (600, 200)])
@pytest.mark.parametrize("deviation", [0.02, 5.0])
def test_planted_components_are_counted_and_noise_is_not(shape, deviation):
    bound = deviation * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
    strengths = bound * np.array([8.0, 5.0, 3.0, 2.0, 1.5])
    described = describe(spectrum(planted(shape, strengths, deviation)), shape)
    # The largest of pure noise lies within a few parts of a hundred around the edge.
    assert described["edge"] == pytest.approx(bound, rel=0.02)
    assert described["noise"] == pytest.approx(deviation, rel=0.02)
    assert len(strengths) <= described["above"] <= len(strengths) + 1
    total = float((spectrum(planted(shape, strengths, deviation)) ** 2).sum())
    assert described["share_above"] == pytest.approx((strengths**2).sum() / total, abs=0.04)


def test_a_component_far_below_the_edge_is_not_seen():
    shape = (200, 400)
    weak = describe(spectrum(planted(shape, np.array([5.0]), 1.0)), shape)
    assert weak["above"] <= 1 and weak["edge"] > 30


def test_the_edge_grows_with_the_matrix_and_not_with_its_transposition():
    values = spectrum(gaussian((60, 150)))
    assert edge(3 * values, (60, 150)) == pytest.approx(3 * edge(values, (60, 150)))
    assert describe(values, (60, 150)) | {"shape": 0} == describe(values, (150, 60)) | {"shape": 0}
    assert noise(values, (60, 150)) == noise(values, (150, 60))


def test_the_effective_rank_is_that_of_the_reductions_records():
    values = spectrum(gaussian((40, 70))).astype("float32")
    described = describe(values, (40, 70))
    assert described["effective_rank"] == pytest.approx(effective_rank(torch.from_numpy(values)), rel=1e-12)
    assert ranks(described) == {"edge": described["above"], "effective_rank": described["effective_rank"]}
    assert describe(np.ones(8), (8, 8))["effective_rank"] == pytest.approx(8)


def test_matrices_without_noise_and_without_anything():
    zero = describe(np.zeros(4), (4, 6))
    assert {key: zero[key] for key in ("median", "edge", "above", "share_above", "effective_rank")} == dict.fromkeys(
        ("median", "edge", "above", "share_above", "effective_rank"), 0
    )
    exact = describe(np.array([3.0, 2.0, 0.0, 0.0, 0.0]), (5, 5))  # the median is 0: all that is there is above
    assert exact["above"] == 2 and exact["share_above"] == 1.0
    assert describe(np.array([2.0]), (1, 7))["above"] in (0, 1)


@pytest.mark.parametrize(
    ("rank", "expected"), [(0, 0.01), (1, 0.01), (5, 0.05), (30, 0.2), (31, 0.4), (100, 0.9), (55, 0.4), (66, 0.9)]
)
def test_the_nearest_of_the_grid(rank, expected):
    assert nearest_rho(rank, (100, 250), [0.9, 0.4, 0.2, 0.05, 0.01]) == expected
