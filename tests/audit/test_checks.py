"""Rules that the small study does not exercise: ties, base as a candidate, verdicts, printed numbers."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laser.analysis import verdicts
from laser.config.rules import read_rules, rules
from laser.models.device import precision_facts
from laser.paper.published import printed
from laser.reduction.interventions import kept_rank
from laser.results.cells import option_labels
from laser.tasks.judging import contains
from laser.tasks.prepare import split_corrected, split_published
from laser_audit import paper
from laser_audit.comparing import same_cell
from laser_audit.findings import Check, Unreadable, checked
from laser_audit.manifest import is_covered, is_volatile
from laser_audit.numbers import labels
from laser_audit.paper import MARGINS, half_unit, shown, verdict
from laser_audit.reading import Study
from laser_audit.records import ADDED
from laser_audit.rows import Average
from laser_audit.scores import holds
from laser_audit.selection import choice, kept_of, ordered
from laser_audit.splits import expected_sides
from tests.workflow.runner import ROOT

LIMITS = {name: rules().margin(metric) for metric, name in MARGINS.items()} | {"constant": rules().constant}
LIMITS |= rules().spreads.model_dump()


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
    for seed in (None, 0, 1):
        sides = expected_sides([{"group": group} for group in groups], seed)
        assert sides == {"published": split_published(count), "corrected": split_corrected(groups, seed)}


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


@pytest.mark.parametrize("seed", range(6))
def test_verdicts(seed):
    """Made-up rows beside printed numbers: the audit's verdicts are those of the code under audit."""
    generator = np.random.default_rng(seed)
    reached = set()
    for _ in range(300):
        metric = str(generator.choice(["accuracy", "loss", "return"]))
        arm = str(generator.choice(["base", "laser"]))
        unit = 10.0 if metric == "accuracy" else 0.3
        texts = [
            f"{abs(number):.{places}f}" for number, places in zip(generator.normal(5, 1, 2) * unit, (1, 2), strict=True)
        ]
        text, base_text = (None if generator.random() < 0.05 else each for each in texts)
        n, complete, same_rows = (
            int(generator.choice([0, 30, 3000])),
            generator.random() < 0.9,
            generator.random() < 0.5,
        )
        row = {"metric": metric, "arm": arm, "n": n}
        near = [float(each or 0) for each in (text, base_text)]
        for name, middle in (("value", near[0]), ("difference", near[0] - near[1])):
            value = middle + generator.normal() * unit / 15
            width = unit / 15 * generator.random()
            row |= {name: value, "low" if name == "value" else f"{name}_low": value - width}
            row |= {"high" if name == "value" else f"{name}_high": value + width}
        prints = {"published": text and printed(text), "published_base": base_text and printed(base_text)}
        theirs = verdicts.agreement(
            metric=metric,
            arm=arm,
            complete=complete,
            same_rows=same_rows,
            n=n,
            ours=(row["value"], row["low"], row["high"]),
            difference=(row["difference"], row["difference_low"], row["difference_high"]),
            **prints,
        )
        assert verdict(LIMITS, row, text, base_text, complete, same_rows) == theirs
        constants = [] if generator.random() < 0.2 else list(generator.normal(4, 2, 2) * 10)
        test_rows = None if generator.random() < 0.1 else int(generator.choice([20, 300, 20000]))
        shows = verdicts.shown(
            metric=metric, arm=arm, published_n=test_rows, constant=max(constants, default=np.nan), **prints
        )
        own = shown(LIMITS, row, text, base_text, constants, test_rows)
        assert own["shows"] == shows.shows
        for end, value in (("low", shows.p_low), ("high", shows.p_high)):
            assert own[f"published_p_{end}"] == pytest.approx(value, rel=1e-9, abs=1e-300, nan_ok=True)
        reached |= {theirs, shows.shows}
    assert len(reached) >= 8


@pytest.mark.parametrize("margin", ["1.0", "2.5 ", "3"])
def test_a_study_is_judged_by_its_own_margins(tmp_path, margin):
    text = (ROOT / "config/claims.yaml").read_text(encoding="utf-8")
    changed = text.replace("accuracy: 1.0", f"accuracy: {margin}").replace("severe: 0.1 ", "severe: 0.2 ")
    path = tmp_path / paper.RULES
    path.parent.mkdir(parents=True)
    path.write_text(changed, encoding="utf-8")
    limits, given = paper.rules(Study(tmp_path)), read_rules(path)
    assert {metric: limits[name] for metric, name in MARGINS.items()} == {name: given.margin(name) for name in MARGINS}
    assert {name: limits[name] for name in given.spreads.model_dump()} == given.spreads.model_dump()
    assert (limits["constant"], limits["severe"]) == (given.constant, given.severe) and given.severe == 0.2
    row = {"metric": "accuracy", "arm": "base", "n": 1000, "value": 52.0, "low": 51.0, "high": 53.0}
    assert verdict(limits, row, "50.0", None, True, True) == ("differs" if float(margin) < 2 else "replicated")


def test_labels_of_more_options_than_letters():
    offered = [tuple(f"o{number}" for number in numbers) for numbers in (range(30), range(30, 60))]
    rows = pd.DataFrame({"answer": ["o28", "o31"], "options": offered})
    assert labels(["o28", "o31"], offered) == option_labels(rows, "answer") == [chr(ord("A") + 28), "B"]


def test_a_part_of_the_rows_is_never_judged():
    row = {"metric": "accuracy", "arm": "base", "n": 100}
    judged = [verdict(LIMITS, row, text, None, False, True, partial=True) for text in ("12.0", None)]
    assert judged == ["part of the paper's rows", ""]


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


def test_results_may_say_how_their_model_computed_on_any_device():
    """Perplexity's files hold these facts beside their spec, not in `run`."""
    assert {"device", "products", *precision_facts(torch.device("cuda"))} <= set(ADDED)
