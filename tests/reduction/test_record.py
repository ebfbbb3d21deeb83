import json
import math

import pytest
import torch

from laser.errors import UserError
from laser.reduction.record import matrix_record, residuals
from laser.reduction.svd import Factors, check, exact_svd


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {"u_in": torch.randn(48, 32, generator=generator), "u_out": torch.randn(32, 48, generator=generator)}


@pytest.fixture
def factors(weights):
    return {name: exact_svd(weight) for name, weight in weights.items()}


def recorded(weight, factors, rho):
    return matrix_record("u_in", weight, factors, rho, check(factors, weight))


def test_one_rank(weights, factors):
    for name, weight in weights.items():
        one, s = recorded(weight, factors[name], 0.29), torch.linalg.svdvals(weight.double())
        assert (one["shape"], one["kept_rank"]) == (list(weight.shape), 9)
        dropped = math.sqrt(float((s[9:] ** 2).sum() / (s**2).sum()))
        assert one["relative_residual"] == pytest.approx(dropped, rel=1e-5)
        assert one["relative_residual_measured"] == pytest.approx(dropped, rel=1e-5)
        assert one["retained_energy"] == pytest.approx(1 - dropped**2, rel=1e-5)
        shares = s / s.sum()
        assert one["effective_rank"] == pytest.approx(float((-(shares * shares.log()).sum()).exp()), rel=1e-5)
        assert (one["parameters"], one["parameters_factored"]) == (1536, 9 * 80)
        assert (one["bytes_dense"], one["bytes_factored"]) == (4 * 1536, 4 * 9 * 80)
        assert one["residual"] < 1e-6 and one["orthogonality_u"] < 1e-5 and one["orthogonality_v"] < 1e-5


def test_record_is_plain_json_and_repeats(weights, factors):
    given = weights["u_in"], factors["u_in"], 0.5
    text = json.dumps(recorded(*given), allow_nan=False)
    assert text == json.dumps(recorded(*given), allow_nan=False)
    assert json.loads(text) == recorded(*given)


def test_ends_of_the_range(weights, factors):
    nothing = recorded(weights["u_in"], factors["u_in"], 0.0)
    assert (nothing["kept_rank"], nothing["retained_energy"], nothing["bytes_factored"]) == (0, 0.0, 0)
    assert nothing["relative_residual"] == pytest.approx(1) == nothing["relative_residual_measured"]
    whole = recorded(weights["u_in"], factors["u_in"], 1.0)
    assert (whole["kept_rank"], whole["retained_energy"], whole["relative_residual"]) == (32, 1.0, 0.0)
    assert whole["relative_residual_measured"] < 1e-6


def test_matrix_of_zeros():
    weight = torch.zeros(6, 4)
    one = recorded(weight, exact_svd(weight), 0.5)
    assert (one["relative_residual"], one["relative_residual_measured"], one["retained_energy"]) == (0, 0, 1)
    assert one["effective_rank"] == 0


def test_given_checks_are_used(weights, factors):
    marked = check(factors["u_in"], weights["u_in"]) | {"residual": 0.125}
    assert matrix_record("u_in", weights["u_in"], factors["u_in"], 0.5, marked)["residual"] == 0.125


def test_factors_of_another_matrix_are_refused(weights, factors):
    with pytest.raises(UserError, match=r"'u_in' do not belong to it: at rho 0.5 .* Delete the folder of factors"):
        recorded(weights["u_in"] + 0.1, factors["u_in"], 0.5)
    damaged = Factors(factors["u_in"].u, factors["u_in"].s, factors["u_in"].vt.clone())
    damaged.vt[0, 0] = math.nan
    with pytest.raises(UserError, match="do not belong to it"):
        recorded(weights["u_in"], damaged, 0.5)


def test_both_residuals_agree_at_every_rank(weights, factors):
    for kept in range(33):
        expected, measured = residuals(weights["u_out"], factors["u_out"], kept)
        assert expected == pytest.approx(measured, abs=1e-6)
