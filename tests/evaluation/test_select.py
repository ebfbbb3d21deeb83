"""The intervention is the argmax of the stated rule, from validation rows alone."""

import pandas as pd
import pytest

from laser.errors import UserError
from laser.evaluation.select import select

KEPT = {(matrix, layer, rho): 1 for matrix in ("u_in", "u_out") for layer in (0, 1) for rho in (0.5, 0.1)}


def rows(correct, loss, **labels):
    return pd.DataFrame({"id": [str(i) for i in range(len(correct))], "correct": correct, "loss": loss, **labels})


def swept(*entries, protocol="corrected"):
    return pd.concat(
        [rows(right, loss, protocol=protocol, matrix=m, layer=y, rho=r) for m, y, r, right, loss in entries],
        ignore_index=True,
    )


BASE = rows([True, False, False, False], [1.0] * 4, protocol="corrected")


def chosen(base, frame, protocol="corrected"):
    return select(base, frame, ["u_in", "u_out"], KEPT)[protocol]["chosen"]


def test_highest_accuracy_wins():
    frame = swept(
        ("u_in", 0, 0.5, [True, True, False, False], [2.0] * 4), ("u_out", 1, 0.1, [True, True, True, False], [3.0] * 4)
    )
    assert chosen(BASE, frame) == {"matrix": "u_out", "layer": 1, "rho": 0.1, "kept_rank": 1}


def test_ties_go_to_lower_loss_then_later_layer_then_matrix_then_smaller_rank():
    right = [True, True, False, False]
    frame = swept(("u_in", 0, 0.5, right, [2.0] * 4), ("u_in", 1, 0.5, right, [1.5] * 4))
    assert chosen(BASE, frame)["layer"] == 1
    frame = swept(
        ("u_out", 1, 0.5, right, [2.0] * 4), ("u_in", 1, 0.5, right, [2.0] * 4), ("u_in", 1, 0.1, right, [2.0] * 4)
    )
    assert chosen(BASE, frame) == {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 1}


@pytest.mark.parametrize(("loss", "wins"), [(0.9, True), (1.0, False), (1.1, False)])
def test_corrected_takes_laser_only_if_it_wins(loss, wins):
    frame = swept(("u_in", 0, 0.5, [True, False, False, False], [loss] * 4))
    assert (chosen(BASE, frame) is not None) is wins


def test_published_takes_the_best_intervention_even_if_base_is_better():
    base = BASE.assign(protocol="published")
    frame = swept(("u_in", 0, 0.5, [False] * 4, [9.0] * 4), protocol="published")
    assert chosen(base, frame, "published")["layer"] == 0


def test_other_rows_than_base_are_refused():
    frame = swept(("u_in", 0, 0.5, [True, False, False], [1.0] * 3))
    with pytest.raises(UserError, match="validation rows"):
        chosen(BASE, frame)


def test_an_intervention_that_overflows_comes_last():
    right = [True, True, True, True]
    frame = swept(("u_in", 0, 0.5, right, [float("inf")] * 4), ("u_in", 1, 0.5, [True, True, False, False], [1.0] * 4))
    found = select(BASE, frame, ["u_in", "u_out"], KEPT)["corrected"]
    assert found["chosen"]["layer"] == 1
    assert found["candidates"][-1]["loss"] is None


@pytest.mark.parametrize("missing", [float("nan"), float("inf")])
def test_one_that_overflows_never_wins_over_base(missing):
    frame = swept(("u_in", 0, 0.5, [True, True, True, False], [0.1, 0.1, 0.1, missing]))
    result = select(BASE, frame, ["u_in", "u_out"], KEPT)["corrected"]
    assert result["chosen"] is None and result["candidates"][0]["loss"] is None
    published = select(BASE.assign(protocol="published"), frame.assign(protocol="published"), ["u_in", "u_out"], KEPT)
    assert published["published"]["chosen"]["matrix"] == "u_in"


@pytest.mark.parametrize(("right", "wins"), [(2, True), (1, True), (0, False)])
def test_rows_on_which_base_overflows_count_as_wrong_and_leave_it_without_a_loss(right, wins):
    base = rows([True, False, False, False], [1.0, 1.0, float("nan"), 1.0], protocol="corrected")
    frame = swept(("u_in", 0, 0.5, [True] * right + [False] * (4 - right), [9.0] * 4))
    result = select(base, frame, ["u_in", "u_out"], KEPT)["corrected"]
    assert (result["chosen"] is not None) is wins
    assert result["validation"]["base"] == {"accuracy": 25.0, "loss": None, "n": 4}


def test_a_loss_that_is_no_number_on_one_row_puts_the_candidate_last():
    worse = ("u_in", 0, 0.5, [True, False, False, False], [0.9] * 4)
    overflowed = ("u_out", 1, 0.1, [True, True, True, False], [0.1, 0.1, 0.1, float("nan")])
    found = select(BASE, swept(worse, overflowed), ["u_in", "u_out"], KEPT)["corrected"]
    assert found["chosen"]["matrix"] == "u_in"
    assert found["candidates"][-1]["matrix"] == "u_out" and found["candidates"][-1]["loss"] is None
