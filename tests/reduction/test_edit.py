import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laser.reduction.edit import NEEDS_FACTORS, edited_weight, low_rank_factors, pruning_index, randomised_range
from laser.reduction.interventions import KINDS, Intervention, Replacement, kept_rank
from laser.reduction.svd import exact_svd

SHAPES = [(24, 16), (16, 24), (20, 20)]


def matrix(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def edit(weight, rho, kind, **settings):
    factors = exact_svd(weight) if kind in NEEDS_FACTORS else None
    return edited_weight(weight, Intervention("u_in", 0, rho, kind, **settings), factors)


def released_pruning(weight, rate):
    """The released rule on plain lists: rate in [0, 10] is what is removed."""
    values = weight.flatten().tolist()
    threshold = sorted(map(abs, values))[int(rate * 0.1 * len(values))]
    return torch.tensor([0.0 if abs(value) <= threshold else value for value in values]).reshape(weight.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_shape_dtype_and_input_left_alone(shape, kind, dtype):
    weight = matrix(shape).to(dtype)
    before = weight.clone()
    edited = edit(weight, 0.5, kind)
    assert edited.shape == weight.shape and edited.dtype == torch.float32
    assert torch.equal(weight, before)
    assert not torch.equal(edited, weight.float())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "rho"), [(kind, 0.0) for kind in KINDS] + [("svd", 0.04), ("randomised", 0.04)])
def test_kept_rank_of_nothing_is_zero(shape, kind, rho):
    edited = edit(matrix(shape), rho, kind)
    assert edited.shape == shape
    assert not edited.any()


@pytest.mark.parametrize("kind", ["svd", "smallest", "randomised", "pruning"])
def test_full_rank_is_the_matrix(kind):
    weight = matrix((24, 16))
    edited = edit(weight, 1.0, kind)
    assert torch.equal(edited, weight) if kind == "pruning" else torch.allclose(edited, weight, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 2**31), st.integers(0, 100))
def test_largest_and_smallest_components_share_out_the_matrix(rows, columns, seed, percent):
    """What `svd` drops at k is what `smallest` keeps at d - k; the parts are orthogonal and nested."""
    weight = matrix((rows, columns), seed)
    size, rho = min(rows, columns), percent / 100
    kept = kept_rank(rho, weight.shape)
    top = edit(weight, rho, "svd")
    rest = edit(weight, math.ceil((size - kept) / size * 1e9) / 1e9, "smallest")
    assert torch.allclose(top + rest, weight, atol=1e-4)
    assert abs(float((top * rest).sum())) < 1e-3
    s = np.linalg.svd(weight.numpy(), compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(top.numpy(), compute_uv=False)[:kept], s[:kept], atol=1e-4)
    np.testing.assert_allclose(np.linalg.svd(rest.numpy(), compute_uv=False)[: size - kept], s[kept:], atol=1e-4)
    assert float(rest.norm()) == pytest.approx(math.sqrt(float((s[kept:] ** 2).sum())), abs=1e-4)


def test_ranks_are_nested():
    weight = matrix((24, 16))
    higher = edit(weight, 0.5, "svd")
    assert torch.allclose(edit(higher, 0.25, "svd"), edit(weight, 0.25, "svd"), atol=1e-5)
    errors = [float((weight - edit(weight, k / 16, "svd")).norm()) for k in range(17)]
    assert errors == sorted(errors, reverse=True)


def test_low_rank_factors_multiply_to_the_edit():
    weight = matrix((24, 16))
    left, right = low_rank_factors(exact_svd(weight), 4)
    assert (tuple(left.shape), tuple(right.shape)) == ((24, 4), (4, 16))
    assert torch.equal(left @ right, edit(weight, 0.25, "svd"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("niter", [2, 20])
def test_randomised_is_the_released_call_and_leaves_the_generator_alone(shape, niter):
    weight = matrix(shape)
    torch.manual_seed(5)
    u, s, v = torch.svd_lowrank(weight, q=4, niter=niter)
    torch.manual_seed(77)
    state = torch.get_rng_state()
    rho = 4 / min(shape)
    ours = edit(weight, rho, "randomised", niter=niter, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(ours, (u * s) @ v.T, atol=1e-6)
    assert torch.equal(ours, edit(weight, rho, "randomised", niter=niter, seed=5))
    assert not torch.allclose(ours, edit(weight, rho, "randomised", niter=niter, seed=6), atol=1e-6)
    best = float((weight - edit(weight, rho, "svd")).norm())
    assert best - 1e-5 <= float((weight - ours).norm()) <= 1.2 * best


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31), st.sampled_from([1, 2, 4, 6, 8, 9, 9.5, 9.9, 9.95])
)
def test_pruning_is_the_released_rule(rows, columns, seed, rate):
    weight = matrix((rows, columns), seed)
    assert torch.equal(edit(weight, round(1 - rate / 10, 9), "pruning"), released_pruning(weight, rate))


def test_pruning_sets_all_ties_to_zero():
    weight = torch.tensor([[1.0, -1.0, 1.0], [2.0, 3.0, -4.0]])
    assert torch.equal(edit(weight, 0.9, "pruning"), torch.tensor([[0.0, 0.0, 0.0], [2.0, 3.0, -4.0]]))


@pytest.mark.parametrize("size", [768, 2048, 4096])
def test_pruning_threshold_stands_where_the_released_arithmetic_puts_it(size):
    """No grid rate of the released code falls on another entry in decimal than in its floating point."""
    for rate in (1, 2, 4, 6, 8, 9, 9.5, 9.9, 9.95):
        for count in (size * size, 4 * size * size, size * 11008):
            assert pruning_index(round(1 - rate / 10, 9), count) == int(rate * 0.1 * count), (rate, count)


@pytest.mark.parametrize("kind", NEEDS_FACTORS)
def test_missing_factors_are_a_mistake_of_the_caller(kind):
    with pytest.raises(ValueError, match="needs the matrix's factors"):
        edited_weight(matrix((4, 4)), Intervention("u_in", 0, 0.5, kind))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("niter", [0, 2, 20])
def test_products_on_a_device_give_the_released_steps_matrix(shape, niter):
    """Without its last decomposition, from the same random numbers."""
    weight = matrix(shape)
    for kept in (1, 4, min(shape)):
        torch.manual_seed(3)
        u, s, v = torch.svd_lowrank(weight, q=kept, niter=niter)
        torch.manual_seed(3)
        torch.testing.assert_close(randomised_range(weight, kept, niter), (u * s) @ v.T, atol=2e-5, rtol=1e-4)
    assert torch.equal(randomised_range(weight, 0, niter), torch.zeros(shape))


def test_a_replacement_is_the_matrix_itself_and_equals_no_other():
    weight, zeros = torch.ones(2, 3), torch.zeros(2, 3)
    edits = [Replacement("u_in", 0, weight=each) for each in (weight, zeros, weight)]
    assert len(set(edits)) == 3 and edits[0] != edits[2]
    assert torch.equal(edited_weight(weight, edits[1]), zeros)
