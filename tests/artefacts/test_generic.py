"""The table of generic words among wrong answers."""

import math

import pandas as pd
import pytest

from laser.artefacts import generic as table
from laser.artefacts.generic import WORDS, begins_generic
from laser.results.cells import PairedCell
from laser.training.corpus import DEFAULTS
from tests.artefacts import synthetic
from tests.artefacts.making import frames, make, spec_of

CHOSEN = {"matrix": "u_in", "layer": 5, "rho": 0.1, "kept_rank": 3}


def cell(base, laser, answer="Rome", groups=None, options=False, chosen=CHOSEN):
    rows = pd.DataFrame(
        {
            "id": [str(place) for place in range(len(base))],
            "group": groups or [str(place) for place in range(len(base))],
            "has_options": options if isinstance(options, list) else [options] * len(base),
            "base_prediction": base,
            "laser_prediction": laser,
            "base_correct": [text.strip() == answer for text in base],
            "laser_correct": [text.strip() == answer for text in laser],
        }
    )
    return PairedCell("m", "d", "corrected", rows, chosen, "fp32")


def row_of(*arguments, **settings):
    (row,) = table.generic([cell(*arguments, **settings)], resamples=500).to_dict("records")
    return row


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in (" the", "The.", "\n a city", '"of', "the Netherlands", "THE", "«it»", "1 of")),
        *((text, False) for text in (" Rome", "", "12", " ...", "theory", "Athens", "Аnd", "o", None)),
    ],
)
def test_the_first_word_decides(text, expected):
    assert begins_generic(text) is expected


def test_the_words_are_lower_case_once_each_and_hold_those_of_made_corpora():
    assert len(set(WORDS)) == len(WORDS) and all(word == word.lower() for word in WORDS)
    assert set(DEFAULTS["generic"]) <= set(WORDS)


def test_shares_are_of_each_arms_own_wrong_answers():
    row = row_of(["the", "of", "Bern", "Rome"], ["Rome", "the", "Bern", "Oslo"])
    assert (row["n"], row["wrong_base"], row["wrong_laser"]) == (4, 3, 3)
    assert row["base"] == pytest.approx(200 / 3) and row["laser"] == pytest.approx(100 / 3)
    assert row["difference"] == pytest.approx(-100 / 3)
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert (row["repaired"], row["repaired_generic"]) == (1, 1)
    assert (row["matrix"], row["layer"], row["rho"]) == ("u_in", 5, 0.1)


def test_the_interval_of_the_difference_is_paired():
    answers = ["the", "Bern"] * 30
    same = row_of(answers, answers)
    assert (same["difference"], same["difference_low"], same["difference_high"]) == (0, 0, 0)
    assert same["base_low"] < same["base"] < same["base_high"]
    assert (same["base_low"], same["base_high"]) == (same["laser_low"], same["laser_high"])
    fewer = row_of(["the"] * 30 + ["Bern"] * 30, ["the"] * 5 + ["Bern"] * 55)
    assert fewer["difference_high"] < 0


def test_groups_are_resampled_whole():
    answers = ["the"] * 20 + ["Bern"] * 20
    alone = row_of(answers, answers[::-1])
    together = row_of(answers, answers[::-1], groups=[str(place // 10) for place in range(40)])
    assert together["groups"] == 4
    assert together["base_high"] - together["base_low"] > alone["base_high"] - alone["base_low"]


def test_no_wrong_answer_is_no_share_and_one_alone_has_an_interval():
    row = row_of(["Rome", "Rome"], ["the", "Rome"])
    assert math.isnan(row["base"]) and math.isnan(row["difference"]) and row["laser"] == 100
    assert (row["laser_low"], row["laser_high"]) == (100, 100)
    (view,) = table.views(pd.DataFrame([row]))
    assert view.rows[0][2:7] == ["0", "1", "", "100.0 [100.0, 100.0]", ""]


def test_rows_with_options_take_no_part():
    row = row_of(["the", "the", "Bern"], ["Rome", "the", "Bern"], options=[False, True, False])
    assert (row["n"], row["wrong_base"], row["base"]) == (2, 2, 50)
    frame = table.generic([cell(["the"], ["the"], options=True)])
    (view,) = table.views(frame)
    assert frame.empty and view.rows == [] and "all offer options" in view.notes[0]


def test_where_base_was_kept_nothing_changes():
    row = row_of(["the", "Bern"], ["the", "Bern"], chosen=None)
    assert row["matrix"] == "" and row["difference"] == 0 and row["repaired"] == 0
    assert table.views(pd.DataFrame([row]))[0].rows[0][-1] == "base"


def test_the_table_of_a_study_holds_its_open_datasets(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    files = make(study.folder, spec_of("generic"), tmp_path / "a")
    (frame,) = frames(files)
    assert set(frame["dataset"]) == {"worldfacts"} and set(frame["protocol"]) == set(synthetic.PROTOCOLS)
    again = make(study.folder, spec_of("generic"), tmp_path / "b")
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]


def test_a_study_without_open_answers_has_an_empty_table(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    files = make(study.folder, spec_of("generic", [("gpt-j-6b", "fever")]), tmp_path / "a")
    assert "all offer options" in files[1].read_text()
