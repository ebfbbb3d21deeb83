"""Rules that the small study does not exercise: ties, base as a candidate, verdicts, printed numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser.reduction.interventions import kept_rank
from laser.tasks.judging import contains
from laser.tasks.prepare import split_corrected, split_published
from laser_audit.comparing import same_cell
from laser_audit.findings import Check, Unreadable, checked
from laser_audit.manifest import is_covered, is_volatile
from laser_audit.paper import Paper, half_unit, verdict
from laser_audit.rows import Average
from laser_audit.scores import holds
from laser_audit.selection import choice, kept_of, ordered
from laser_audit.splits import expected_sides


def scores(matrix="u_in", layer=0, rho=0.5, accuracy=50.0, loss=1.0):
    return Average(matrix, layer, rho, 10, accuracy, loss)


def test_ties_go_to_loss_then_later_layer_then_matrix_then_smaller_rank():
    first = [
        scores(accuracy=60.0, loss=2.0),
        scores(loss=0.5),
        scores(layer=3, matrix="u_out", rho=0.9),
        scores(layer=1, matrix="u_in", rho=0.1),
        scores(layer=1, matrix="u_in", rho=0.5),
        scores(layer=1, matrix="u_out", rho=0.1),
        scores(accuracy=90.0, loss=float("inf")),
    ]
    assert ordered(first[::-1], ["u_in", "u_out"]) == first


def test_base_wins_ties_under_corrected_alone():
    base, best = scores(), scores(matrix="u_out")
    assert choice(base, best, "corrected") is None
    assert choice(base, best, "published") is best
    better = scores(matrix="u_out", loss=0.9)
    assert choice(base, better, "corrected") is better


@pytest.mark.parametrize("rho", [0.29, 0.1, 0.05, 0.005, 0.9, 1.0])
@pytest.mark.parametrize("smaller", [100, 768, 4096])
def test_kept_ranks(rho, smaller):
    assert kept_of(rho, smaller) == kept_rank(rho, (smaller, 2 * smaller))


@pytest.mark.parametrize("count", [2, 3, 5, 19, 100])
def test_splits(count):
    groups = [f"g{place // 3}" for place in range(count)]
    sides = expected_sides([{"group": group} for group in groups])
    assert sides == {"published": split_published(count), "corrected": split_corrected(groups)}


PIECES = [
    "no",
    "Kno",
    "12",
    "0",
    " ",
    "-",
    "_",
    "é",
    "e",
    "\u0301",
    "\u200d",
    "東",
    "京",
    "カ",
    "ﾊﾟ",
    "２",
    "ก",
    "ิ",
    "दि",
    "ß",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=2).map("".join),
)
def test_judging(text, answer):
    for boundaries in (True, False):
        assert holds(text, answer, boundaries) == contains(text, answer, boundaries)


def row(**changed):
    kept = {"model": "m", "dataset": "d", "metric": "accuracy", "arm": "laser", "low": 10.0, "high": 20.0}
    return kept | {"difference": 3.0, "p_holm": 0.01} | changed


PRINTED = {
    ("M", "D", metric, arm): text
    for metric in ("accuracy", "loss")
    for arm, text in (("base", "12"), ("laser", "20.3"))
}
PAPER = Paper({("model", "m"): "M", ("dataset", "d"): "D"}, PRINTED, {}, {})


@pytest.mark.parametrize(
    ("changed", "constants", "complete", "chosen_base", "n", "expected"),
    [
        ({}, [90.0], False, False, 1000, "not run"),
        ({}, [90.0], True, True, 1000, "base chosen"),
        ({"model": "other"}, [90.0], True, False, 1000, ""),
        ({}, [20.0], True, False, 1000, "equals a constant answer"),
        ({}, [90.0], True, False, 20, "not significant in the paper's own n"),
        ({}, [90.0], True, False, 1000, "differs"),
        ({"high": 20.25}, [90.0], True, False, 1000, "replicated"),
        ({"high": 20.25, "p_holm": 0.05}, [90.0], True, False, 1000, "differs"),
        ({"high": 20.25, "difference": -3.0}, [90.0], True, False, 1000, "differs"),
        ({"arm": "base", "low": 12.4}, [90.0], True, False, 1000, "replicated"),
        ({"arm": "base", "low": 12.6}, [90.0], True, False, 1000, "differs"),
    ],
)
def test_verdicts(changed, constants, complete, chosen_base, n, expected):
    assert verdict(PAPER, row(**changed), constants, complete, chosen_base, n) == expected


def test_a_part_of_the_rows_is_never_judged():
    judged = [verdict(PAPER, row(model=name), [90.0], False, True, 1000, partial=True) for name in ("m", "other")]
    assert judged == ["part of the paper's rows", "base chosen"]


def test_half_a_unit():
    assert half_unit("2.5") == pytest.approx(0.05) and half_unit("12") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        *(("", None, True), ("", float("nan"), True), ("0", None, False), ("1", 1, True), ("1.0", 1, False)),
        *(("True", True, True), ("1", True, False), ("0.1", 0.1, True), ("0.1001", 0.1, False), ("x", 0.1, False)),
        *(("nan", 0.1, False), (" 0.1", 0.1, False), ("inf", float("inf"), True), ("a", "a", True), ("a ", "a", False)),
        # Means of 3.4 nats that nearly cancel, summed in another order; and a difference that is one.
        *(("-0.0008225870891340747", -0.0008225870891322984, True), ("-0.00082258708", -0.00082258709, False)),
    ],
)
def test_cells(text, value, same):
    assert same_cell(text, value) is same


def test_volatile_and_covered():
    assert is_volatile("runs/a.json") and is_volatile("inputs/models/m/run.json") and not is_volatile("tables/run.json")
    assert (
        is_covered("test/m/d.parquet") and not is_covered("audit/index.html") and not is_covered("logs/manifest/x.log")
    )


def test_a_check_that_looks_at_nothing_or_breaks_does_not_pass():
    assert not checked("n", "", "", lambda check: None).passed

    def breaks(check: Check) -> None:
        raise Unreadable("a.json", "is damaged")

    assert str(checked("n", "", "", breaks).findings[0]) == "a.json: the check as a whole: is damaged"
    assert not Check("n", "", "").same("p", "w", True, 1)
