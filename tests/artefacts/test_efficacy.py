"""Efficacy from made-up log-probabilities, counted by hand; and the table from files, the same bytes every time."""

import math

import pandas as pd
import pytest

from laser.analysis.tables import read_table
from laser.artefacts.efficacy import ARTEFACT, efficacy_table, paired
from laser.errors import UserError
from laser.io.files import read_parquet, write_parquet
from laser.results.cells import PairedCell
from tests.artefacts import synthetic
from tests.artefacts.making import EVERY_CELL, make, spec_of
from tests.artefacts.synthetic_more import spec_of as spec_of_cell

TRUE = {"base": [-1.0, -4.0, -4.0, -2.0], "laser": [-0.5, -1.0, -5.0, -3.0]}
FALSE = {"base": [-2.0, -2.0, -1.0, -3.0], "laser": [-1.0, -2.5, -0.5, -3.5]}
CHOSEN = {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 2}


def cell(protocol="published", chosen=CHOSEN, tokens=1):
    frame = pd.DataFrame({"id": list("abcd"), "group": list("ggxy")})
    for arm in ("base", "laser"):
        frame[f"{arm}_logprob"], frame[f"{arm}_answer_tokens"] = TRUE[arm], tokens
    return PairedCell("m", "d", protocol, frame, chosen, "fp32")


def false(protocol="published", tokens=1, ids="abcd", values=None):
    arms = [
        pd.DataFrame({"id": list(ids), "logprob": (values or FALSE)[arm][: len(ids)], "arm": arm})
        for arm in ("base", "laser")
    ]
    return {("m", "d"): pd.concat(arms).assign(protocol=protocol, answer_tokens=tokens)}


def table(*arguments):
    return efficacy_table([arguments[0]], arguments[1], resamples=200).iloc[0]


def test_shares_are_counted():
    row = table(cell(), false())
    # true > false: base a, d; laser a, b, d. True rises on a, b; false on a, c; both on a.
    assert (row["base"], row["laser"], row["difference"], row["n"]) == (50, 75, 25, 4)
    assert (row["true_rises"], row["false_rises"], row["both_rise"], row["false_rises_too"]) == (50, 50, 25, 50)
    assert row["true_change"] == pytest.approx(0.375) and row["false_change"] == pytest.approx(0.125)


@pytest.mark.parametrize(("protocol", "laser"), [("published", 75), ("corrected", 0)])
def test_lengths_that_differ_count_as_the_protocol_compares_options(protocol, laser):
    # Per token the false targets, of ten tokens, are the more probable ones.
    assert table(cell(protocol), false(protocol, tokens=10))["laser"] == laser
    assert table(cell(protocol, tokens=2), false(protocol, tokens=2))["laser"] == 75


def test_where_base_was_chosen_nothing_rises():
    row = table(cell(chosen=None), false())
    assert math.isnan(row["true_rises"]) and math.isnan(row["false_change"]) and row["matrix"] == ""


def test_rows_without_a_false_target_do_not_count_and_an_overflow_counts_as_wrong():
    assert table(cell(), false(ids="ab"))["n"] == 2
    values = {arm: [math.nan, *FALSE[arm][1:]] for arm in FALSE}
    row = table(cell(), false(values=values))
    assert (row["base"], row["laser"], row["true_rises"], row["false_rises"], row["n"]) == (25, 50, 50, 25, 4)


def test_false_targets_of_other_rows_or_arms_are_refused():
    with pytest.raises(UserError, match="other rows than the test file"):
        paired(cell(), false(ids="abxz")["m", "d"])
    frame = false()["m", "d"]
    with pytest.raises(UserError, match="in one arm than in the other"):
        paired(cell(), frame[(frame["arm"] == "base") | (frame["id"] != "a")])


def test_two_runs_write_the_same_bytes(tmp_path):
    study = synthetic.build(tmp_path / "study", examples=60)
    for number, test in enumerate(study.tests):
        rows = read_parquet(test)[["protocol", "arm", "id", "logprob", "answer_tokens"]]
        spec = spec_of_cell(study, number)
        path = study.folder / f"efficacy/{spec['model']['name']}/{spec['dataset']['name']}.parquet"
        write_parquet(path, rows.assign(logprob=rows["logprob"].sample(frac=1, random_state=1).to_numpy()), spec)
    spec = spec_of("efficacy", EVERY_CELL)
    first, second = ([path.read_bytes() for path in make(study.folder, spec, tmp_path / name)] for name in "ab")
    assert first == second
    made = read_table(tmp_path / "a/tables/efficacy.csv", ARTEFACT.texts)
    assert len(made) == len(EVERY_CELL) * 2 and made["base"].between(0, 100).all()
