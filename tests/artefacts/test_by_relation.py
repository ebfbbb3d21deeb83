"""Gains by relation and template: what is counted, what is left blank, and how the largest part is named."""

import numpy as np
import pandas as pd
import pytest

from laser.artefacts import by_relation
from laser.artefacts.by_relation import ALL, RELATION, TEMPLATE, largest_part, templates
from laser.io.files import read_parquet
from laser.report.summary import summarise
from laser.results.cells import PairedCell
from laser.results.loading import load_cells
from tests.artefacts import synthetic
from tests.artefacts.making import data_of, spec_of

PLACE = {"matrix": "u_in", "layer": 3, "rho": 0.1, "kept_rank": 4}
COUNTRIES = ("Peru", "Chile", "The Gambia", "Oman")
WORDS = {
    "capital": ("The capital of {} is", "In {}, the capital is"),
    "continent": ("{} lies in", "The continent of {} is"),
}


def prepared(countries=COUNTRIES):
    """Return the rows of a fact per country in each of two relations, asked in two templates each."""
    rows = []
    for relation, wordings in WORDS.items():
        for country in countries:
            for number, words in enumerate(wordings):
                prompt = words.format(country.replace("The ", "the "))
                rows.append(
                    {
                        "id": f"{relation}-{country}-{number}",
                        "group": f"{relation}-{country}",
                        "prompt": prompt[0].upper() + prompt[1:],
                        "subject": country,
                        "relation": relation,
                        "answer": f" {country}ville" if relation == "capital" else " America",
                    }
                )
    return pd.DataFrame(rows)


def cell(rows, better, worse=(), **changes):
    """Return a cell in which some rows, by position, become right and some wrong."""
    base = np.isin(np.arange(len(rows)), worse)
    scored = rows[["id", "group", "answer"]].assign(has_options=False, base_correct=base, laser_correct=base)
    scored["laser_correct"] = (base & ~np.isin(np.arange(len(rows)), worse)) | np.isin(np.arange(len(rows)), better)
    given = {"model": "m", "dataset": "d", "protocol": "corrected", "dtype": "fp32", "chosen": PLACE} | changes
    return PairedCell(rows=scored, **given)


def test_a_template_is_the_prompt_with_a_blank_for_the_subject_and_its_article():
    rows = prepared()
    assert set(templates(rows)) == {words.format("…") for pair in WORDS.values() for words in pair}


@pytest.mark.parametrize(
    ("column", "value"), [("subject", None), ("subject", " "), ("subject", "Elsewhere"), ("relation", None)]
)
def test_rows_without_relation_or_subject_have_no_template(column, value):
    assert set(templates(prepared().assign(**{column: value}))) == {""}


def test_words_in_which_one_fact_alone_is_asked_are_no_template():
    rows = prepared()
    rows.loc[0, "prompt"] = "Long ago. The capital of Peru is"
    made = templates(rows)
    assert made[0] == "" and (made[1:] != "").all()


def test_net_rows_and_the_gain_without_a_part_are_those_of_the_rows():
    rows = prepared()
    # Both rows of one fact in `capital` and one of another; one of `continent` is lost, three are won.
    frame = by_relation.by_relation([cell(rows, [0, 1, 2, 9, 11, 13], [14])], {"d": rows})
    whole = frame[frame["part"] == ALL].iloc[0]
    assert list(whole[["n", "groups", "net_rows", "answers", "templates"]]) == [16, 8, 5, 5, 4]
    assert whole["gain"] == pytest.approx(100 * 5 / 16)
    relations = frame[frame["part"] == RELATION].set_index("relation")
    assert list(relations["net_rows"]) == [3, 2] and list(relations["share_of_net"]) == pytest.approx([60, 40])
    assert relations.loc["capital", "gain_without"] == pytest.approx(100 * 2 / 8)
    parts = frame[frame["part"] == TEMPLATE]
    assert parts["net_rows"].sum() == 5 and set(parts["n"]) == {4}
    largest = largest_part(frame, whole, TEMPLATE)
    assert largest["template"] == "The continent of … is" and largest["net_rows"] == 3
    assert parts["spread"].nunique() == 1 and parts["spread"].notna().all()


def test_a_gain_that_one_answer_makes_is_uncertain_over_answers():
    rows = prepared([f"Country {number}" for number in range(40)])
    frame = by_relation.by_relation([cell(rows, range(80, 160))], {"d": rows})
    whole = frame[frame["part"] == ALL].iloc[0]
    assert whole["gain_low"] > 0 > whole["answers_low"] and whole["widest"] == "answers"


def test_datasets_without_relations_have_one_line_and_options_no_interval_over_answers():
    rows = prepared().assign(relation=None, subject=None)
    whole = by_relation.by_relation([cell(rows, [0, 1])], {"d": rows})
    assert list(whole["part"]) == [ALL] and whole["templates"].isna().all() and whole["answers"].notna().all()
    of_options = cell(rows, [0, 1])
    of_options.rows["has_options"] = True
    frame = by_relation.by_relation([of_options], {"d": rows})
    assert frame[["answers", "answers_low", "templates_low"]].isna().all(axis=None) and list(frame["widest"]) == [""]
    assert [view.name for view in by_relation.views(frame)] == ["by_relation_corrected"]


@pytest.mark.parametrize(("better", "worse"), [([], []), ([], [0, 1]), ([0], [1])])
def test_without_a_gain_no_part_is_the_largest(better, worse):
    rows = prepared()
    frame = by_relation.by_relation([cell(rows, better, worse)], {"d": rows})
    assert largest_part(frame, frame.iloc[0], TEMPLATE) is None and frame["share_of_net"].isna().all()
    for view in by_relation.views(frame):
        assert view.rows and all(len(row) == len(view.columns) for row in view.rows)


@pytest.mark.parametrize(("better", "named"), [([9, 11, 13, 0], True), ([9, 11, 0, 1], False)])
def test_the_report_names_a_template_that_supplies_more_than_half_of_a_gain(better, named):
    rows = prepared()
    parts = by_relation.by_relation([cell(rows, better)], {"d": rows})
    line = {"model": "m", "dataset": "d", "protocol": "corrected", "matrix": "u_in", "layer": 3, "rho": 0.1}
    line |= {"value": 50.0, "low": 1.0, "high": 99.0, "n": 16, "constant": 0.0, "answer_in_prompt": 0.0}
    line |= dict.fromkeys(("difference", "difference_low", "difference_high", "p_holm"), 0.5)
    line |= {"prediction_shares": "{}"}
    table = [line | {"metric": metric, "arm": arm} for metric in ("accuracy", "loss") for arm in ("base", "laser")]
    (summary,) = summarise(pd.DataFrame(table), parts=parts)
    told = [text for text in summary.cautions if "one template" in text]
    assert bool(told) == named
    if named:
        assert "'continent: The continent of … is', supplies 3 of the 4 rows" in told[0]


def test_a_whole_study_from_files(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    (frame,) = data_of(study.folder, spec_of("by_relation"), tmp_path / "made")
    assert set(frame["part"]) == {ALL} and set(frame["dataset"]) == set(synthetic.DATASETS)
    cells = load_cells(study.tests, study.selections, study.rows)
    given = {name: read_parquet(path) for name, path in zip(synthetic.DATASETS, study.rows, strict=True)}
    again = by_relation.by_relation(cells, given)
    assert list(frame["gain"]) == list(again["gain"])
