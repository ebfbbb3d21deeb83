import math

import numpy as np
import pandas as pd
import pytest

from laser.analysis import intervals, verdicts
from laser.analysis.statistics import mcnemar_p_range, mcnemar_p_value
from laser.analysis.verdicts import SHOWN_RULES, VERDICT_RULES, agreement, shown
from laser.artefacts.verdicts import COLUMNS, verdict_table
from laser.config.rules import rules
from laser.paper.published import Published, printed, read_published

NAN = math.nan


def agree(**changes):
    given = {
        "metric": "accuracy",
        "arm": "laser",
        "published": printed("65.9"),
        "published_base": printed("51.8"),
        "complete": True,
        "same_rows": False,
        "n": 16257,
        "ours": (65.7, 65.2, 66.5),
        "difference": (13.7, 13.3, 14.4),
    }
    return agreement(**(given | changes))


def show(**changes):
    given = {
        "metric": "accuracy",
        "arm": "laser",
        "published": printed("65.9"),
        "published_base": printed("51.8"),
        "published_n": 16257,
        "constant": 2.0,
    }
    return shown(**(given | changes)).shows


def test_every_verdict_can_be_reached_and_has_a_rule():
    verdicts_given = {
        agree(complete=False),
        agree(part=True, complete=False),
        agree(),
        agree(ours=(70.0, 69.0, 71.0)),
        agree(ours=(65.7, 64.0, 67.5)),
    }
    assert verdicts_given == set(VERDICT_RULES)
    base = {"arm": "base", "published": printed("51.8")}
    shows = {
        show(constant=65.5),
        show(published=printed("51.8")),
        show(published=printed("52.9")),
        show(),
        show(**base),
    }
    assert shows == set(SHOWN_RULES)


@pytest.mark.parametrize("same_rows", [True, False])
def test_a_weak_printed_number_does_not_hide_that_ours_is_another(same_rows):
    # 50.0 is what a constant answer scores, and ours is far above it: two statements, neither hides the other.
    base = {"arm": "base", "published": printed("50.0"), "published_base": printed("50.0")}
    assert show(**base, constant=50.0) == verdicts.CONSTANT
    assert agree(**base, same_rows=same_rows, ours=(81.0, 80.0, 82.0)) == verdicts.DIFFERS
    # A printed gain of 0.7 points shows nothing; ours is a loss of 13.
    gain = {"published": printed("17.2"), "published_base": printed("16.5")}
    assert show(**gain, published_n=5000) == verdicts.OPEN and show(**gain, published_n=300) == verdicts.NO_DIFFERENCE
    assert agree(**gain, same_rows=same_rows, ours=(3.5, 3.2, 3.8), difference=(-13, -14, -12)) == verdicts.DIFFERS
    # The accuracies agree within the margin each, and the gains do not.
    apart = {"published": printed("17.2"), "published_base": printed("16.5"), "ours": (16.4, 16.3, 16.5)}
    assert agree(**apart, same_rows=same_rows, difference=(-0.8, -0.9, -0.7)) == verdicts.DIFFERS


def test_selection_that_kept_base_is_judged_by_its_gain_of_nothing():
    assert agree(ours=(51.8, 51.3, 52.3), difference=(0.0, -0.1, 0.1)) == verdicts.DIFFERS
    small = {"published": printed("52.0"), "ours": (51.8, 51.6, 52.0), "difference": (0.0, -0.1, 0.1)}
    assert agree(**small) == verdicts.REPLICATED


@pytest.mark.parametrize(
    ("printed_value", "ours", "n", "expected"),
    [
        ("50.0", 57.0, 50, verdicts.DIFFERS),  # 3.5 rows of 50
        ("50.0", 52.0, 50, verdicts.REPLICATED),  # one row
        ("50.0", 54.0, 50, verdicts.DIFFERS),
        ("13.1", 13.5, 52606, verdicts.REPLICATED),
        ("13.1", 14.15, 52606, verdicts.REPLICATED),  # a point, and the rounding of the print
        ("13.1", 14.2, 52606, verdicts.DIFFERS),
    ],
)
def test_on_the_papers_own_rows_the_margin_decides_and_not_the_interval(printed_value, ours, n, expected):
    number = printed(printed_value)
    given = {"arm": "base", "published": number, "published_base": number, "same_rows": True, "n": n}
    for width in (0.01, 20.0):
        assert agree(**given, ours=(ours, ours - width, ours + width)) == expected


def test_the_margin_of_a_loss_is_in_nats_and_a_gain_is_a_fall():
    loss = {"metric": "loss", "published": printed("2.86"), "published_base": printed("3.52")}
    assert agree(**loss, ours=(2.85, 2.83, 2.88), difference=(-0.66, -0.68, -0.64)) == verdicts.REPLICATED
    assert agree(**loss, ours=(2.85, 2.83, 2.88), difference=(0.6, 0.58, 0.62)) == verdicts.DIFFERS
    base = loss | {"arm": "base", "published": printed("3.52"), "difference": (NAN, NAN, NAN)}
    assert agree(**base, ours=(3.59, 3.58, 3.60)) == verdicts.DIFFERS
    assert agree(**base, ours=(3.57, 3.56, 3.58)) == verdicts.UNDECIDED
    assert agree(**(base | {"metric": "return"}), ours=(3.57, 3.56, 3.58)) == verdicts.REPLICATED
    # What would be another loss of base is within the seeds of LASER.
    assert agree(**loss, ours=(2.92, 2.91, 2.93), difference=(-0.60, -0.61, -0.59)) == verdicts.REPLICATED


def test_interval_on_other_rows():
    base = {"arm": "base", "published": printed("51.8"), "difference": (NAN, NAN, NAN), "n": 10**9}
    assert agree(**base, ours=(51.0, 50.76, 52.8)) == verdicts.REPLICATED
    assert agree(**base, ours=(51.0, 50.74, 52.8)) == verdicts.UNDECIDED
    assert agree(**base, ours=(54.0, 52.84, 55.0)) == verdicts.UNDECIDED
    assert agree(**base, ours=(54.0, 52.86, 55.0)) == verdicts.DIFFERS


@pytest.mark.parametrize("n", [100, 804, 3000])
def test_another_accuracy_is_seldom_called_replicated(n):
    # Truth at the margin itself, so that every verdict `replicated` is a false one: at most 5 %.
    generator = np.random.default_rng(n)
    margin = rules().equivalence("accuracy", n, draws=0) + 0.05
    right = generator.binomial(n, 0.4 + margin / 100, size=4000)
    low, high = (100 * bound for bound in intervals.share_bounds(right, n, n, n, right * (n - right) / n))
    value = 100 * right / n
    base = {"arm": "base", "published": printed("40.0"), "published_base": printed("40.0"), "n": n}
    given = [agree(**base, ours=ours) for ours in zip(value, low, high, strict=True)]
    assert given.count(verdicts.REPLICATED) / len(given) <= 0.05


def test_the_margin_holds_what_seeds_and_rounding_change():
    limits, accuracy = rules(), rules().margins.accuracy
    assert limits.equivalence("return", 50, draws=2) == limits.margins.reward
    assert limits.equivalence("accuracy", 10**9, draws=0) == pytest.approx(accuracy, abs=1e-4)
    # Base has no seed, the printed LASER one, and under the published protocol ours is another draw.
    widths = [limits.equivalence(metric, 804, draws=draws) for metric in ("accuracy", "loss") for draws in range(3)]
    assert widths[0] < widths[1] < widths[2] and widths[3] < widths[4] < widths[5]
    assert limits.equivalence("accuracy", 804, draws=1, roundings=2) > widths[1]
    # Fewer rows: rounding moves more of their share, and one row is more.
    assert limits.equivalence("accuracy", 50, draws=0) > 2.0 > widths[0] > accuracy
    # What base may not be, LASER may, by its seed.
    far = {"same_rows": True, "n": 1000, "published": printed("50.0"), "published_base": printed("50.0")}
    shift = limits.equivalence("accuracy", 1000, draws=2)
    ours = (50.0 + shift, 0.0, 100.0)
    assert agree(**far, arm="base", ours=ours) == verdicts.DIFFERS
    assert agree(**far, ours=ours, difference=(shift, 0.0, 100.0)) == verdicts.REPLICATED
    assert agree(**far, ours=(50.2 + shift, 0.0, 100.0), difference=(shift, 0.0, 100.0)) == verdicts.DIFFERS


@pytest.mark.parametrize("same_rows", [True, False])
def test_another_seed_of_the_same_method_is_seldom_called_another_number(same_rows):
    limits, n = rules(), 500
    generator = np.random.default_rng(n)
    seed = 100 * np.sqrt(limits.spreads.seed_rows / n)
    told = []
    for _ in range(400):
        print_of = 50 + seed * generator.normal()
        value = 50 + (seed * generator.normal() if same_rows else 0) + 0.05 * generator.normal()
        number = printed(f"{print_of:.1f}")
        gain = {"published_base": printed("40.0"), "difference": (value - 40, value - 40.4, value - 39.6)}
        told.append(agree(published=number, same_rows=same_rows, n=n, ours=(value, value - 0.4, value + 0.4), **gain))
    assert told.count(verdicts.DIFFERS) / len(told) <= 0.05


def test_rounding_of_the_printed_value():
    assert printed("2.5").half_unit == pytest.approx(0.05)
    assert printed("2.50").half_unit == pytest.approx(0.005)
    assert printed("53").half_unit == pytest.approx(0.5)


def test_the_best_constant_answer_counts_and_only_for_accuracy():
    base = {"arm": "base", "published": printed("37.1"), "published_base": printed("37.1")}
    assert show(**base, constant=37.05) == verdicts.CONSTANT
    assert show(**base, constant=62.95) == verdicts.CONSTANT
    assert show(**base, constant=36.7) == verdicts.CONSTANT
    assert show(**base, constant=36.5) == verdicts.ABILITY
    assert show(**base, constant=37.1, metric="loss") == ""
    assert show(**base, constant=NAN) == ""


def test_no_published_cell_no_verdict():
    assert agree(published=None) == "" == show(published=None)
    assert agree(n=0, ours=(NAN, NAN, NAN)) == verdicts.NOT_RUN


def test_the_range_of_p_holds_every_number_of_changed_rows():
    for n, first, second in [(40, 16, 22), (40, 30, 22), (40, 20, 20), (7, 0, 7), (60, 2, 9)]:
        fewer, more = sorted((first, second))
        possible = [
            mcnemar_p_value([True] * lost + [False] * gained, [False] * lost + [True] * gained)
            for lost in range(n + 1)
            for gained in range(n + 1)
            if gained - lost == more - fewer and lost <= fewer and gained <= n - fewer
        ]
        low, high = mcnemar_p_range(100 * first / n, 100 * second / n, n)
        assert (low, high) == pytest.approx((min(possible), max(possible)))


def test_what_the_papers_own_gains_show():
    published = read_published()
    shows = {}
    for (model, dataset, metric, arm), number in published.table1.items():
        if metric == "accuracy" and arm == "laser":
            base = published.table1[model, dataset, metric, "base"]
            n = published.table4[dataset]["test"]
            shows[model, dataset] = show(published=number, published_base=base, published_n=n, constant=NAN)
    # 37.1 to 38.3 on 1600 rows: significant only if few rows changed sides.
    assert shows["GPT-J", "BigBench-Epistemic Reasoning"] == verdicts.OPEN
    assert shows["RoBERTa", "TruthfulQA"] == verdicts.NO_DIFFERENCE  # no difference at all
    assert shows["GPT-J", "CounterFact"] == verdicts.DIFFERENCE == shows["Llama2-7B", "FEVER"]


def test_every_published_number_stands_in_the_table_once_when_nothing_was_run():
    published = read_published()
    empty = pd.DataFrame(columns=["model", "dataset", "metric", "arm", "protocol", "value", "low", "high", "verdict"])
    table = verdict_table(empty, published)
    assert len(table) == len(published.table1) == 96
    assert set(table["verdict"]) == {verdicts.NOT_RUN}
    # What the print shows by itself needs no run: each accuracy of a LASER arm is judged, at the paper's own n.
    judged = table[(table["metric"] == "accuracy") & (table["arm"] == "laser")]
    assert len(judged) == 24 and set(judged["shows"]) <= {verdicts.OPEN, verdicts.DIFFERENCE, verdicts.NO_DIFFERENCE}
    assert (judged["published_p_low"] <= judged["published_p_high"]).all()
    assert set(table.loc[table["metric"] == "loss", "shows"]) == {""}


def test_our_names_are_matched_to_the_papers():
    row = {"model": "mine", "dataset": "facts", "metric": "loss", "arm": "base", "protocol": "corrected"}
    given = dict.fromkeys(COLUMNS, NAN) | row | {"value": 1.0, "low": 0.9, "high": 1.1, "verdict": "replicated"}
    frame = pd.DataFrame([given])
    published = Published(
        models={"mine": "Theirs"},
        datasets={"facts": "Facts"},
        table1={("Theirs", "Facts", "loss", "base"): printed("1.0")},
    )
    (line,) = verdict_table(frame, published).to_dict("records")
    assert (line["model"], line["dataset"], line["run_model"], line["verdict"]) == (
        "Theirs",
        "Facts",
        "mine",
        "replicated",
    )
