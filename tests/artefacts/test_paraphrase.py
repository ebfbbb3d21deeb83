import numpy as np
import pandas as pd
import pytest

from laser.artefacts.paraphrase import ALL, ANY, CONSISTENT, HELD_OUT, TRAINED, paraphrase
from laser.artefacts.paraphrase import views as paraphrase_views
from laser.io.files import read_parquet
from laser.paper.published import read_published
from laser.paper.text_numbers import ROBUSTNESS, read_text_numbers
from laser.results.cells import PairedCell
from laser.results.loading import load_cells
from tests.artefacts import synthetic
from tests.artefacts.synthetic_more import with_phrasings


def facts(base, laser, **changes):
    """Return a cell of facts asked three times each, given as rows of three truth values, and its prepared rows."""
    count = len(base)
    groups = [f"f{number}" for number in range(count) for _ in range(3)]
    rows = pd.DataFrame(
        {
            "id": [f"{group}-{place % 3}" for place, group in enumerate(groups)],
            "group": groups,
            "base_correct": np.array(base, dtype=bool).ravel(),
            "laser_correct": np.array(laser, dtype=bool).ravel(),
        }
    )
    place = {"matrix": "u_in", "layer": 3, "rho": 0.1, "kept_rank": 4}
    given = {"model": "m", "dataset": "d", "protocol": "corrected", "dtype": "fp32", "chosen": place} | changes
    prepared = rows[["id", "group"]].assign(phrasing=[place % 3 for place in range(3 * count)])
    return PairedCell(rows=rows, **given), {given["dataset"]: prepared}


YES, NO = [1, 1, 1], [0, 0, 0]


def test_shares_of_facts_count_a_fact_once_and_only_if_all_its_phrasings_are_right():
    cell, prepared = facts([YES, [1, 0, 1], NO, NO], [YES, YES, [0, 1, 0], NO])
    frame = paraphrase([cell], prepared).set_index("measure")
    assert list(frame.loc[ALL, ["n", "base", "laser", "difference"]]) == [4, 25.0, 50.0, 25.0]
    assert list(frame.loc[ANY, ["n", "base", "laser"]]) == [4, 50.0, 75.0]
    # One discordant fact: the exact test cannot tell anything.
    assert frame.loc[ALL, "p_value"] == 1.0
    assert frame.loc[ALL, "incomplete_facts"] == 0


def test_the_test_is_exact_over_facts_and_adjusted_over_the_table():
    cell, prepared = facts([[1, 1, 0]] * 10 + [NO] * 10, [YES] * 10 + [NO] * 10)
    frame = paraphrase([cell], prepared).set_index("measure")
    assert frame.loc[ALL, "p_value"] == pytest.approx(2 / 2**10)
    assert frame.loc[ALL, "p_holm"] == pytest.approx(2 * 2 / 2**10)
    assert frame.loc[ANY, "difference"] == 0 and frame.loc[ANY, "p_value"] == 1.0


def test_consistency_is_of_the_facts_that_an_arm_has_right_at_all():
    base, laser = [YES] * 2 + [[1, 0, 0]] * 6 + [NO] * 8, [YES] * 6 + [[0, 1, 0]] * 6 + [NO] * 4
    cell, prepared = facts(base, laser)
    frame = paraphrase([cell], prepared).set_index("measure")
    row = frame.loc[CONSISTENT]
    assert list(row[["n", "groups", "base", "laser", "difference"]]) == [12, 12, 25.0, 50.0, 25.0]
    assert row["base_low"] < 25 < row["base_high"] and row["difference_low"] < 25 < row["difference_high"]
    # No paired test, and none of the others is adjusted for it.
    assert np.isnan(row["p_value"]) and np.isnan(row["p_holm"])
    assert frame.loc[ALL, "p_holm"] == min(1.0, 2 * frame.loc[ALL, "p_value"])


@pytest.mark.parametrize(("base", "laser"), [([NO] * 4, [YES] * 4), ([NO] * 4, [NO] * 4)])
def test_consistency_of_an_arm_without_a_right_answer_is_left_open(base, laser):
    cell, prepared = facts(base, laser)
    row = paraphrase([cell], prepared).set_index("measure").loc[CONSISTENT]
    assert np.isnan(row["base"]) and np.isnan(row["difference"]) and row["n"] == (4 if laser == [YES] * 4 else 0)


def test_an_interval_of_consistency_always_has_a_width():
    cell, prepared = facts([[1, 0, 0]] * 20, [[1, 0, 0]] * 20)
    row = paraphrase([cell], prepared).set_index("measure").loc[CONSISTENT]
    assert row["difference"] == 0.0 and row["difference_low"] < -5 and row["difference_high"] > 5


def test_a_fact_whose_phrasings_lie_on_both_sides_of_the_split_is_left_out_and_counted():
    cell, prepared = facts([YES, YES, NO], [YES, YES, NO])
    cut = PairedCell(**(cell.__dict__ | {"rows": cell.rows.iloc[1:].reset_index(drop=True)}))
    frame = paraphrase([cut], prepared).set_index("measure")
    assert list(frame.loc[ALL, ["n", "incomplete_facts", "base"]]) == [2, 1, 50.0]
    assert any("1 facts" in note for note in paraphrase_views(frame.reset_index())[0].notes)


def test_held_out_phrasings_stand_apart_where_the_training_phrasings_are_known():
    cell, prepared = facts([[1, 1, 0]] * 6, [[1, 0, 1]] * 6)
    frame = paraphrase([cell], prepared, {"m": [0, 1]}).set_index("measure")
    assert list(frame.loc[TRAINED, ["n", "groups", "base", "laser"]]) == [12, 6, 100.0, 50.0]
    assert list(frame.loc[HELD_OUT, ["n", "groups", "base", "laser"]]) == [6, 6, 0.0, 100.0]
    assert set(paraphrase([cell], prepared, {"another": [0]})["measure"]) == {ALL, ANY, CONSISTENT}


def test_datasets_without_phrasings_take_no_part_and_an_empty_table_can_be_shown():
    cell, prepared = facts([YES], [YES])
    prepared["d"]["phrasing"] = None
    frame = paraphrase([cell], prepared)
    assert frame.empty and paraphrase_views(frame) == []


def test_the_papers_gain_stands_beside_its_own_cell_alone():
    texts, published = read_text_numbers(), read_published()
    for model, dataset, expected in (("gpt-j-6b", "counterfact", True), ("roberta-base", "counterfact", False)):
        cell, prepared = facts([YES, NO], [YES, YES], model=model, dataset=dataset)
        frame = paraphrase([cell], prepared, None, published, texts).set_index("measure")
        found = frame.loc[ALL, "published_difference"]
        assert (found == texts[ROBUSTNESS].value.value) == expected
        assert np.isnan(frame.loc[ANY, "published_difference"])
        assert paraphrase_views(frame.reset_index())[0].columns[-1].startswith("Paper") == expected


def test_a_whole_study_from_files(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    with_phrasings(study)
    cells = load_cells(study.tests, study.selections, study.rows)
    frame = paraphrase(
        cells,
        {name: read_parquet(path) for name, path in zip(synthetic.DATASETS, study.rows, strict=True)},
        resamples=200,
    )
    assert set(frame["dataset"]) == {"worldfacts"} and set(frame["protocol"]) == {"published", "corrected"}
    kept = frame[(frame["model"] == "tiny-llama") & (frame["protocol"] == "corrected")]
    assert (kept["difference"] == 0).all() and (kept["matrix"] == "").all()
    assert (frame.loc[frame["measure"] != CONSISTENT, "n"] == 16).all()
