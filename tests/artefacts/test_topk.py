import pandas as pd
import pytest

from laser.analysis.comparison import adjust
from laser.analysis.statistics import holm
from laser.artefacts import topk
from laser.artefacts.topk import FIRST, WHOLE
from laser.artefacts.topk import views as topk_views
from laser.errors import UserError
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.results.study import StudyResults
from tests.artefacts import synthetic
from tests.artefacts.making import spec_of


@pytest.fixture
def study(tmp_path):
    """A study to be changed."""
    return synthetic.build(tmp_path, examples=60)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


@pytest.fixture(scope="module")
def table(unchanged):
    """The table of the unchanged study."""
    return made(unchanged)


def made(study):
    return topk.make(StudyResults(spec_of("topk"), study.folder, study.folder / "cache"))


def test_test_rows_count_first_tokens_and_whole_answers(unchanged, table):
    rows = read_parquet(unchanged.tests[0])
    for arm in ("base", "laser"):
        own = rows[(rows["protocol"] == "corrected") & (rows["arm"] == arm)]
        for k in (1, 5, 10):
            row = table[(table["model"] == "gpt-j-6b") & (table["dataset"] == "fever") & (table["k"] == k)]
            row = row[(row["protocol"] == "corrected") & (row["split"] == "test")].set_index("measure")
            assert row.loc[FIRST, arm] == pytest.approx(100 * (own["answer_rank"] <= k).mean())
            if k > 1:
                assert row.loc[WHOLE, arm] == pytest.approx(100 * own[f"in_top{k}"].mean())
            else:
                assert list(row.index) == [FIRST]


def test_the_curve_is_that_of_the_chosen_place_on_validation_rows(unchanged, table):
    keep = (table["split"] == "validation") & (table["measure"] == FIRST) & (table["k"] == 10)
    curve = table[keep & (table["model"] == "gpt-j-6b") & (table["dataset"] == "worldfacts")]
    curve = curve[curve["protocol"] == "published"]
    assert list(curve["rho"]) == [0.9, 0.1, 0.01]
    assert set(zip(curve["matrix"], curve["layer"], strict=True)) == {("u_in", 5)}
    path = next(path for path in unchanged.sweeps["gpt-j-6b", "worldfacts"] if "layer5/rho0.1" in str(path))
    rows = read_parquet(path)
    own = rows[(rows["protocol"] == "published") & (rows["matrix"] == "u_in")]
    assert curve.set_index("rho").loc[0.1, "laser"] == pytest.approx(100 * (own["answer_rank"] <= 10).mean())
    base = read_parquet(unchanged.bases[1])
    base = base[base["protocol"] == "published"]
    assert list(curve["base"]) == pytest.approx([100 * (base["answer_rank"] <= 10).mean()] * 3)


def test_where_base_was_chosen_the_curve_follows_the_best_candidate(table):
    own = table[(table["model"] == "tiny-llama") & (table["dataset"] == "worldfacts")]
    own = own[own["protocol"] == "corrected"]
    assert set(own.loc[own["split"] == "test", "matrix"]) == {""}
    assert set(own.loc[own["split"] == "test", "difference"]) == {0.0}
    assert set(own.loc[own["split"] == "validation", "matrix"]) == {"u_in"}


def test_only_tests_on_test_rows_are_adjusted(table):
    assert table.loc[table["split"] == "validation", "p_holm"].isna().all()
    for _, own in table[table["split"] == "test"].groupby("protocol"):
        assert list(own["p_holm"]) == holm(list(own["p_value"]))


def test_rows_without_a_p_value_take_no_part_in_the_adjustment():
    rows = [{"protocol": "a", "p_value": p} for p in (0.01, float("nan"), 0.03)]
    adjust(rows)
    assert [row["p_holm"] for row in rows[::2]] == [0.02, 0.03] and pd.isna(rows[1]["p_holm"])


def test_views_fit_their_columns_and_show_base_in_the_curve(table):
    for view in topk_views(table):
        assert view.rows and all(len(row) == len(view.columns) for row in view.rows)
        if "curve" in view.name:
            assert [row[5] for row in view.rows][:4] == ["base", "0.9", "0.1", "0.01"]


def test_a_row_on_which_the_model_overflows_is_among_no_tokens(study, table):
    path = next(path for path in study.sweeps["gpt-j-6b", "fever"] if "layer5/rho0.1." in str(path))
    before, frame = table, read_parquet(path)
    frame.loc[frame["answer_rank"] == 1, ["loss", "logprob", "answer_rank"]] = float("nan")
    write_parquet(path, frame.assign(in_top5=False, in_top10=False), read_spec(path))
    after = made(study)
    first = (before["k"] == 1) & (before["split"] == "validation") & (before["rho"] == 0.1)
    first &= (before["dataset"] == "fever") & (before["matrix"].isin(frame["matrix"]))
    assert (after.loc[first, "laser"] <= before.loc[first, "laser"]).all()
    assert (after.loc[first, "laser"] < before.loc[first, "laser"]).any()


def test_a_sweep_file_with_other_rows_is_refused(study):
    path = next(path for path in study.sweeps["gpt-j-6b", "fever"] if "layer5/rho0.1." in str(path))
    write_parquet(path, read_parquet(path).iloc[1:], read_spec(path))
    with pytest.raises(UserError, match=r"ρ = 0\.1 was scored on other validation rows"):
        made(study)


def test_a_cell_without_its_selection_is_refused(study):
    study.selections[0].unlink()
    with pytest.raises(UserError, match=r"gpt-j-6b/fever\.json"):
        made(study)


def asked(**answers):
    """Return rows of a dataset: relation to its answers; `none` is no relation."""
    rows = [
        {"id": f"{relation}-{number}", "relation": None if relation == "none" else relation, "answer": answer}
        for relation, given in answers.items()
        for number, answer in enumerate(given)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("answers", "alike"),
    [
        ([" .fr", " .de", " .fr"], True),
        ([" +33", " +1"], True),
        (["(A)", "(B)"], True),
        ([" the euro", " the dollar"], True),
        ([" Paris", " Prague"], False),  # a letter is no token of its own
        ([" 1990", " 1991"], False),
        ([" .fr", " de"], False),
        ([" .fr", " .fr"], False),  # one answer: there is nothing to tell apart
        ([" non-entailment", " entailment"], False),
        (["", " "], False),
    ],
)
@pytest.mark.parametrize("relation", ["domain", "none"])
def test_relations_whose_answers_all_begin_alike_are_found_whatever_their_names(relation, answers, alike):
    rows = asked(**{relation: answers}, other=[" Rome", " Oslo"])
    left_out = topk.begin_alike(rows)
    assert list(left_out.index) == (list(rows["id"][: len(answers)]) if alike else [])
    assert set(left_out) <= {"" if relation == "none" else relation}


def test_rows_that_begin_alike_are_left_out_of_first_tokens_and_counted(study, table):
    path = study.rows[1]
    rows, before = read_parquet(path), table
    third = rows["group"].isin(list(dict.fromkeys(rows["group"]))[::3])
    rows["relation"] = third.map({True: "domain", False: "capital"})
    rows.loc[third, "answer"] = [f" .{number}" for number in range(int(third.sum()))]
    write_parquet(path, rows, read_spec(path))
    frame, keys = made(study), ["model", "dataset", "protocol", "split", "k", "measure", "rho"]
    changed = frame[frame["dataset"] == "worldfacts"]
    first = changed[changed["measure"] == FIRST]
    assert (first["left_out"] > 0).all() and set(first["relations_left_out"]) == {"domain"}
    was = before.set_index(keys)["n"].reindex(pd.MultiIndex.from_frame(first[keys]))
    assert list(first["n"] + first["left_out"]) == list(was)
    assert (changed.loc[changed["measure"] == WHOLE, "left_out"] == 0).all()
    assert (frame.loc[frame["dataset"] == "fever", "left_out"] == 0).all()
    notes = [note for view in topk_views(frame) for note in view.notes if "begin alike" in note]
    assert any(note.startswith("worldfacts: ") and "(domain)" in note for note in notes)


def test_a_dataset_of_which_every_row_begins_alike_has_no_rank_and_still_a_table(study):
    path = study.rows[1]
    rows = read_parquet(path)
    write_parquet(path, rows.assign(answer=[f" +{number}" for number in range(len(rows))]), read_spec(path))
    frame = made(study)
    first = frame[(frame["dataset"] == "worldfacts") & (frame["measure"] == FIRST)]
    assert (first["n"] == 0).all() and first[["base", "laser", "p_holm"]].isna().all(axis=None)
    assert all(len(row) == len(view.columns) for view in topk_views(frame) for row in view.rows)
