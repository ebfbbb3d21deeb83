"""Matrices of any scale: the numbers are those of the same matrix at scale 1, or the message says what is wrong."""

import pytest
import torch

from laser.errors import UserError
from laser.reduction.edit import edited_weight
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.reduction.record import matrix_record
from laser.reduction.svd import check, exact_svd, frobenius

SCALES = [2.0**power for power in (-110, -100, -80, -60, -40, 0, 30, 50, 60, 80, 100, 115)]
RATIOS = ("retained_energy", "effective_rank", "relative_residual", "relative_residual_measured")


def matrix(rows=40, columns=24):
    torch.manual_seed(3)
    return torch.randn(rows, columns) * torch.linspace(1, 0.01, columns)


@pytest.mark.parametrize("scale", SCALES)
def test_factors_and_records(scale, tmp_path):
    unit, weight = matrix(), matrix() * scale
    factors = FactorStore(tmp_path).get(weight)
    torch.testing.assert_close(factors.s / scale, exact_svd(unit).s, rtol=1e-5, atol=1e-7)
    found = check(factors, weight)
    assert 0 < found["residual"] < 1e-5
    expected = matrix_record("u_in", unit, exact_svd(unit), 0.5, {})
    own = matrix_record("u_in", weight, factors, 0.5, found)
    for name in RATIOS:
        assert own[name] == pytest.approx(expected[name], rel=1e-4)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["svd", "smallest", "randomised", "pruning"])
def test_edits(kind, scale):
    unit, weight, edit = matrix(), matrix() * scale, Intervention("u_in", 0, 0.5, kind)
    expected = edited_weight(unit, edit, exact_svd(unit))
    torch.testing.assert_close(edited_weight(weight, edit, exact_svd(weight)) / scale, expected, rtol=1e-3, atol=1e-5)


def test_scales_mixed_within_a_matrix():
    weight = matrix() * torch.tensor([1e-25, 1.0, 1e25] * 8)
    assert check(exact_svd(weight), weight)["residual"] < 1e-5


@pytest.mark.parametrize("scale", SCALES)
def test_wrong_factors_are_seen_at_every_scale(scale):
    weight = matrix() * scale
    factors = exact_svd(weight)
    other = matrix().flip(0) * scale
    assert check(factors, other)["residual"] > 0.1
    with pytest.raises(UserError, match="do not belong to it"):
        matrix_record("u_in", other, factors, 0.5, check(factors, other))


@pytest.mark.parametrize("scale", [1e37, 3e-41])
def test_beyond_the_digits_of_fp32_the_message_is_about_the_matrix(scale):
    torch.manual_seed(3)
    weight = torch.rand(300, 200) * scale
    with pytest.raises(UserError, match="Its largest entry is"):
        exact_svd(weight)


def test_norm():
    assert frobenius(torch.zeros(3, 4)) == 0 == frobenius(torch.zeros(0, 4))
    assert frobenius(torch.full((2, 2), 3e38)) == pytest.approx(6e38, rel=1e-6)
    assert frobenius(torch.full((2, 2), 1e-30)) == pytest.approx(2e-30, rel=1e-6)
    assert frobenius(torch.tensor([[float("inf")]])) == float("inf")
    ordinary = matrix()
    assert frobenius(ordinary) == float(torch.linalg.norm(ordinary))


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (24, 24)])
@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_where_lapack_does_not_converge_the_product_is_made_without_its_svd(shape, rho, monkeypatch):
    weight, edit = matrix(*shape), Intervention("u_in", 0, rho, "randomised", 2, 5)
    expected = edited_weight(weight, edit)

    def failing(*args, **options):
        torch.randn(3)  # the failed attempt has drawn numbers
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    monkeypatch.setattr(torch, "svd_lowrank", failing)
    before = torch.random.get_rng_state()
    torch.testing.assert_close(edited_weight(weight, edit), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_randomised_step_names_a_damaged_matrix(value):
    weight = matrix()
    weight[3, 4] = value
    with pytest.raises(UserError, match="holds NaN or infinity"):
        edited_weight(weight, Intervention("u_in", 0, 0.5, "randomised"))
