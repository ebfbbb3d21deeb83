import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laser.errors import UserError
from laser.reduction import svd
from laser.reduction.interventions import kept_rank
from laser.reduction.svd import check, effective_rank, exact_svd, retained_energy, within_bounds

# Kept ranks of the released code, by dimension, at its rates 1 2 4 6 8 9 9.5 9.9 9.95.
RATIOS = (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005)
RELEASED = {
    768: (691, 614, 460, 307, 153, 76, 38, 7, 3),
    2048: (1843, 1638, 1228, 819, 409, 204, 102, 20, 10),
    4096: (3686, 3276, 2457, 1638, 819, 409, 204, 40, 20),
    128: (115, 102, 76, 51, 25, 12, 6, 1, 0),
}
SHAPES = [(40, 24), (24, 40), (32, 32), (1, 7), (7, 1), (1, 1)]


def matrix(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", RELEASED)
def test_kept_rank_is_the_released_codes(size):
    assert tuple(kept_rank(rho, (4 * size, size)) for rho in RATIOS) == RELEASED[size]
    assert tuple(kept_rank(rho, (size, 4 * size)) for rho in RATIOS) == RELEASED[size]


@pytest.mark.parametrize(
    ("rho", "size", "kept"), [(0.29, 100, 29), (0.57, 100, 57), (0.7, 10, 7), (1, 768, 768), (0, 768, 0)]
)
def test_kept_rank_has_no_binary_rounding(rho, size, kept):
    assert kept_rank(rho, (size, size)) == kept


@given(st.integers(0, 1000), st.integers(1, 5000))
def test_kept_rank_is_the_floor_of_the_decimal_product(thousandths, size):
    assert kept_rank(thousandths / 1000, (size, size + 3)) == thousandths * size // 1000


@pytest.mark.parametrize("rho", [-0.1, 1.01, math.nan, math.inf])
def test_rank_outside_its_range(rho):
    with pytest.raises(UserError, match="give a number from 0 to 1"):
        kept_rank(rho, (4, 4))


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_agree_with_numpy_in_double_precision(shape):
    weight = matrix(shape)
    factors = exact_svd(weight)
    _, s, _ = np.linalg.svd(weight.numpy().astype(np.float64), full_matrices=False)
    small = min(shape)
    assert [tuple(part.shape) for part in (factors.u, factors.s, factors.vt)] == [
        (shape[0], small),
        (small,),
        (small, shape[1]),
    ]
    assert {part.dtype for part in (factors.u, factors.s, factors.vt)} == {torch.float32}
    np.testing.assert_allclose(factors.s.numpy(), s, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(((factors.u * factors.s) @ factors.vt).numpy(), weight.numpy(), atol=1e-5)
    assert within_bounds(check(factors, weight))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**31), st.integers(1, 24))
def test_eckart_young(rows, columns, seed, kept):
    """No other rank-k matrix is nearer, and the distance is the norm of the dropped singular values."""
    weight = matrix((rows, columns), seed)
    kept = min(kept, rows, columns)
    factors = exact_svd(weight)
    best = (factors.u[:, :kept] * factors.s[:kept]) @ factors.vt[:kept]
    distance = float((weight - best).norm())
    assert distance == pytest.approx(
        float((factors.s[kept:].double() ** 2).sum().sqrt()), abs=1e-5 * float(weight.norm())
    )
    generator = torch.Generator().manual_seed(seed)
    other = torch.randn(rows, kept, generator=generator) @ torch.randn(kept, columns, generator=generator)
    other *= float((weight * other).sum() / other.square().sum())
    assert distance <= float((weight - other).norm()) + 1e-5
    assert np.linalg.matrix_rank(best.numpy(), tol=1e-4 * float(factors.s[0])) <= kept


def test_rank_deficient_and_zero_matrices():
    low = matrix((30, 4)) @ matrix((4, 20), 1)
    factors = exact_svd(low)
    assert float(factors.s[4:].max()) < 1e-5 * float(factors.s[0])
    assert within_bounds(check(factors, low))
    nothing = exact_svd(torch.zeros(6, 4))
    assert torch.equal(nothing.s, torch.zeros(4))
    assert within_bounds(check(nothing, torch.zeros(6, 4)))


def test_signs_are_fixed_and_results_repeat():
    weight = matrix((40, 24))
    factors = exact_svd(weight)
    largest = factors.u[factors.u.abs().argmax(dim=0), torch.arange(24)]
    assert bool((largest > 0).all())
    again = exact_svd(weight.clone())
    assert all(torch.equal(getattr(factors, name), getattr(again, name)) for name in ("u", "s", "vt"))
    flipped = exact_svd(-weight)
    assert torch.allclose(flipped.u, factors.u, atol=1e-4)
    assert torch.allclose(flipped.vt, -factors.vt, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_decomposed_in_fp32(dtype):
    weight = matrix((20, 12)).to(dtype)
    factors = exact_svd(weight)
    assert factors.u.dtype == torch.float32
    assert torch.equal(factors.s, exact_svd(weight.float()).s)
    assert check(factors, weight)["residual"] < 1e-6


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_damaged_matrix(value):
    weight = matrix((5, 4))
    weight[2, 1] = value
    with pytest.raises(UserError, match="NaN or infinity"):
        exact_svd(weight)


def test_check_sees_wrong_factors():
    weight = matrix((20, 12))
    factors = exact_svd(weight)
    spoilt = svd.Factors(factors.u, factors.s.clone(), factors.vt)
    spoilt.s[0] *= 1.001
    assert check(spoilt, weight)["residual"] > svd.RESIDUAL_BOUND
    skewed = svd.Factors(factors.u * 1.01, factors.s / 1.01, factors.vt)
    found = check(skewed, weight)
    assert found["residual"] < svd.RESIDUAL_BOUND
    assert found["orthogonality_u"] == pytest.approx(0.0201, rel=1e-2)
    assert not within_bounds(found)


def test_a_driver_that_fails_or_misses_the_bounds_gives_way_to_the_next(monkeypatch):
    weight = matrix((20, 12))
    real, calls = torch.linalg.svd, []

    def first_wrong(value, full_matrices, driver=None):
        calls.append((value.dtype, driver))
        u, s, vt = real(value, full_matrices=full_matrices)
        return (u, s * 1.1, vt) if len(calls) == 1 else (u, s, vt)

    monkeypatch.setattr(torch.linalg, "svd", first_wrong)
    assert check(exact_svd(weight), weight)["residual"] < 1e-6
    assert calls == [(torch.float32, None), (torch.float64, None)]

    def never(*_, **__):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "svd", never)
    with pytest.raises(UserError, match=r"\(20, 12\) matrix does not converge or exceeds its bounds"):
        exact_svd(weight)


def test_retained_energy():
    s = torch.tensor([3.0, 2.0, 1.0])
    assert [retained_energy(s, kept) for kept in range(4)] == pytest.approx([0, 9 / 14, 13 / 14, 1])
    assert retained_energy(torch.zeros(3), 1) == 1.0


def test_effective_rank():
    assert effective_rank(torch.ones(17)) == pytest.approx(17)
    assert effective_rank(torch.tensor([5.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(3)) == 0.0
    assert effective_rank(torch.tensor([2.0, 1.0, 1.0])) == pytest.approx(2**1.5)  # entropy of (1/2, 1/4, 1/4)


@pytest.mark.parametrize("shape", [(160, 60), (60, 160), (64, 64), (7, 1), (1, 7)])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_gram_matrix_in_fp64_meets_the_bounds_of_fp32(shape, condition):
    """As on CUDA, where it is tried first."""
    count = min(shape)
    u, _ = torch.linalg.qr(matrix((shape[0], count)).double())
    v, _ = torch.linalg.qr(matrix((shape[1], count), 1).double())
    spectrum = torch.logspace(0, -math.log10(condition), count, dtype=torch.float64)
    weight = ((u * spectrum) @ v.T).float()
    factors = svd.Factors(*(part.float() for part in svd.gram_svd(weight)))
    found = check(factors, weight)
    assert found["residual"] < 1e-6
    assert max(found["orthogonality_u"], found["orthogonality_v"]) < 1e-5
    assert bool((factors.s[:-1] >= factors.s[1:]).all())
    np.testing.assert_allclose(factors.s.numpy(), np.linalg.svd(weight.double().numpy())[1], rtol=1e-4)


@pytest.mark.parametrize("weight", [torch.zeros(8, 5), matrix((30, 4)) @ matrix((4, 20), 1)], ids=["zero", "low rank"])
def test_a_matrix_that_the_gram_matrix_cannot_decompose_goes_to_the_next_method(weight, monkeypatch):
    tried = []

    def methods(device):
        for name, method in (("gram", svd.gram_svd), ("lapack", lambda value: svd._cpu_svd(value, torch.float32))):
            tried.append(name)
            yield method

    monkeypatch.setattr(svd, "_methods", methods)
    assert within_bounds(check(exact_svd(weight), weight))
    assert tried == ["gram", "lapack"]


def test_the_methods_of_cuda_end_on_the_cpu_with_all_threads(monkeypatch):
    assert len(list(svd._methods(torch.device("cuda")))) == len(list(svd._methods(torch.device("cpu")))) + 2
    seen = []
    before = torch.get_num_threads()
    with svd._threads(before + 1):
        seen.append(torch.get_num_threads())
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


@pytest.mark.parametrize("error", [torch.linalg.LinAlgError, torch.OutOfMemoryError])
def test_a_method_that_fails_gives_way_to_the_next(error, monkeypatch):
    def fails(value):
        raise error

    weight = matrix((20, 12))
    monkeypatch.setattr(svd, "_methods", lambda device: iter((fails, svd.gram_svd)))
    assert within_bounds(check(exact_svd(weight), weight))
