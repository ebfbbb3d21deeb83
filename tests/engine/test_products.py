import math

import pytest
import torch

from laser.engine.products import (
    LOW,
    TERMS,
    SplitLinear,
    exact_in_half,
    fused_halves,
    fused_sum,
    halves,
    linear,
    plain_halves,
    prepared,
    split_linear,
    use_split_products,
)
from tests.engine.tiny_models import DEVICE


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def relative(found, states, weight):
    exact = states.double() @ weight.double().T
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("spread", [0, 4, 12])
def test_as_accurate_as_fp32(spread):
    """Also where the entries of a row differ by orders of magnitude, as activations do."""
    states = normal(40, 300) * torch.exp(spread * normal(40, 300, seed=3) / 4)
    weight = (normal(50, 300, seed=1) * 0.02).half()
    full = normal(50, 300, seed=2) * 0.02
    for matrix, found in ((weight, split_linear(states, weight)), (full, split_linear(states, full))):
        plain = states @ matrix.float().T
        assert found.dtype == torch.float32
        # A tensor core cuts its running sums off: 2e-9 a term, measured on an H100 (docs/gpu.md).
        slack = 2**-24 if DEVICE.type == "cpu" else 4e-9 * min(TERMS, states.shape[1])
        assert relative(found, states, matrix) <= 2 * relative(plain, states, matrix) + slack
        assert relative(states.half().float() @ matrix.float().T, states, matrix) > 50 * relative(found, states, matrix)


@pytest.mark.parametrize("power", [-140, -126, -60, 0, 60, 120])
def test_rows_of_any_magnitude(power):
    states = normal(8, 64) * 2.0**power
    high = halves(states)
    back = (high.high.double() + high.low.double() * LOW) * high.scale.double()
    assert high.high.isfinite().all() and high.low.isfinite().all()
    if power >= -110:
        assert float((back - states.double()).abs().max()) <= 2**-22 * float(states.abs().max())
    else:
        assert float((back - states.double()).abs().max()) <= 2.0**-124


def test_a_row_of_zeros_and_rows_apart():
    states = torch.stack((torch.zeros(5), torch.full((5,), 1e-20), torch.full((5,), 1e20))).to(DEVICE)
    found = split_linear(states, torch.eye(5).half().to(DEVICE))
    torch.testing.assert_close(found, states, rtol=2**-21, atol=0)


def test_rows_do_not_see_each_other():
    states, weight = normal(6, 32), normal(7, 32, seed=1).half()
    alone = split_linear(states[2:3].clone(), weight)
    torch.testing.assert_close(split_linear(states, weight)[2:3], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so_in_its_row_alone(bad):
    states = normal(3, 16)
    states[1, 4] = bad
    finite = split_linear(states, normal(5, 16, seed=1).half()).isfinite().all(dim=1)
    assert finite.tolist() == [True, False, True]


def test_linear_with_bias_and_leading_dimensions():
    states, weight, bias = normal(2, 3, 16), normal(5, 16, seed=1).half(), normal(5, seed=2)
    expected = torch.nn.functional.linear(states, weight.float(), bias)
    torch.testing.assert_close(linear(states, weight, bias), expected)
    assert torch.equal(linear(states, weight.float(), bias), expected)


def test_gradients_pass_through():
    states, weight = normal(3, 16).requires_grad_(), normal(5, 16, seed=1).half()
    linear(states, weight).sum().backward()
    torch.testing.assert_close(states.grad, weight.float().sum(0).expand(3, 16))


def test_exact_in_half():
    weight = normal(5, 5)
    assert not exact_in_half(weight)
    assert exact_in_half(weight.half().float())
    assert exact_in_half(torch.tensor([[2.0**-24, 65504.0, 0.0]]))
    assert not exact_in_half(torch.tensor([[65536.0]]))
    assert not exact_in_half(torch.tensor([[math.nan]]))


def test_a_model_is_converted_as_a_whole_or_not_at_all():
    def model():
        return torch.nn.Sequential(torch.nn.Linear(8, 9), torch.nn.LayerNorm(9), torch.nn.Linear(9, 3, bias=False)).to(
            DEVICE
        )

    inexact = model()
    assert not use_split_products(inexact)
    assert {type(one) for one in inexact if hasattr(one, "in_features")} == {torch.nn.Linear}
    half = model().half().float()
    states = normal(4, 8)
    expected = half(states)
    assert use_split_products(half)
    assert [type(one) for one in half] == [SplitLinear, torch.nn.LayerNorm, SplitLinear]
    assert half[0].weight.dtype == torch.float16 and half[0].bias.dtype == torch.float32
    with torch.inference_mode():
        torch.testing.assert_close(half(states), expected, rtol=1e-5, atol=1e-6)
    assert not use_split_products(model().half())


def test_long_sums_are_made_in_pieces():
    states, weight = normal(6, 3 * TERMS + 17), (normal(9, 3 * TERMS + 17, seed=1) * 0.02).half()
    plain = states @ weight.float().T
    slack = 0 if DEVICE.type == "cpu" else 4e-9 * TERMS
    assert relative(split_linear(states, weight), states, weight) <= 2 * relative(plain, states, weight) + slack


def test_states_are_split_once_for_weights_that_share_them():
    states, half = normal(6, 32), normal(7, 32, seed=1).half()
    shared = prepared(states, half, half)
    assert torch.equal(linear(shared, half), linear(states, half))
    assert prepared(states, half, half.float()) is states
    assert prepared(states.half(), half).dtype == torch.float16


@pytest.mark.skipif(DEVICE.type != "cuda", reason="LASER_TEST_DEVICE is not cuda")
@pytest.mark.parametrize("columns", [1, 300, 4096, 11008, 16384])
def test_the_kernel_gives_the_same_numbers(columns):
    fused = fused_halves()
    assert fused is not None and fused_sum()
    states = normal(50, columns) * torch.exp(10 * normal(50, 1, seed=2))
    states[3] = 0
    expected, found = plain_halves(states), fused(states)
    assert all(torch.equal(getattr(expected, name), getattr(found, name)) for name in ("high", "low", "scale"))
