import numpy as np
import pandas as pd
import pytest

from laser.analysis.intervals import change_interval
from laser.artefacts import power
from laser.config.rules import rules
from laser.paper.published import Printed
from laser.results.cells import PairedCell
from tests.analysis.test_power import scores

CHOSEN = {"matrix": "u_in", "layer": 0, "rho": 0.1, "kept_rank": 4}


def cell(better, worse, n=1000, chosen=CHOSEN):
    base, laser = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    base[n // 2 :] = laser[n // 2 :] = True
    laser[:better], laser[n - worse :] = True, False
    ids = [str(number) for number in range(n)]
    rows = pd.DataFrame({"id": ids, "group": ids, "base_correct": base, "laser_correct": laser})
    rows["answer"], rows["has_options"] = ["yes", "no", "no", "maybe"] * (n // 4), False
    return PairedCell(model="m", dataset="d", protocol="corrected", rows=rows, chosen=chosen, dtype="fp32")


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [(60, 10, power.GAIN), (3, 3, power.NO_CHANGE), (10, 40, power.NO_GAIN), (20, 12, power.OPEN)],
)
def test_equivalence_follows_from_the_interval_and_the_margin(better, worse, expected):
    line = power.on_test_rows(cell(better, worse), 8)
    assert line["equivalence"] == expected
    assert line["changed"] == pytest.approx((better + worse) / 10)
    assert line["detectable_holm"] > line["detectable"] > 0
    assert line["difference_low"] < line["difference"] < line["difference_high"]


def test_a_gain_at_the_margin_is_seldom_called_no_gain():
    generator, margin = np.random.default_rng(0), rules().margins.accuracy / 100
    words = []
    for _ in range(400):
        changes = generator.choice([-1, 0, 1], 3000, p=[0.02, 0.96 - margin, 0.02 + margin])
        words.append(power.equivalence(*(100 * bound for bound in change_interval(changes))))
    assert (words.count(power.NO_GAIN) + words.count(power.NO_CHANGE)) / 400 <= 0.05


@pytest.mark.parametrize(("better", "expected"), [(5, "yes"), (60, "no")])
def test_the_papers_gain_is_excluded_by_the_interval_with_its_rounding(better, expected):
    line = power.on_test_rows(cell(better, 5), 8, Printed(50.0, 0.5), Printed(54.0, 0.5))
    assert (line["published_gain"], line["published_excluded"]) == (4.0, expected)


def test_where_base_was_chosen_nothing_is_said_of_changes():
    line = power.on_test_rows(cell(0, 0, chosen=None), 8, Printed(50.0, 0.5), Printed(54.0, 0.5))
    assert (line["equivalence"], line["published_excluded"]) == ("", "") and "detectable" not in line
    assert "validation_gain" not in power.on_validation_rows(None, scores(np.zeros((9, 2))), [0], 100)
    frame = pd.DataFrame([line], columns=list(power.COLUMNS))
    assert "base" in power.views(frame)[0].rows[0]


def test_the_gain_on_validation_rows_is_that_of_the_chosen_candidate():
    changes = np.zeros((100, 3))
    changes[:30, 1] = 1
    chosen = CHOSEN | {"layer": 1}
    line = power.on_validation_rows(chosen, scores(changes), [0], 200)
    assert (line["validation_gain"], line["candidates"]) == (30.0, 3) and line["null_p"] < 0.01
    with pytest.raises(power.UserError, match="no sweep file holds rows"):
        power.on_validation_rows(CHOSEN | {"layer": 9}, scores(changes), [0], 200)


def test_a_constant_answer_per_relation_stands_only_where_rows_have_relations():
    made = cell(0, 0, 8)
    relations = pd.Series(["a", "b"] * 4, index=made.rows["id"])
    assert power.constants(made, relations) == {"constant": 50.0, "constant_by_relation": 50.0}
    kinds = pd.Series(["a", "b", "c", "d"] * 2, index=made.rows["id"])
    assert power.constants(made, kinds)["constant_by_relation"] == 100.0
    assert np.isnan(power.constants(made, kinds.where(kinds != "d", None))["constant_by_relation"])
