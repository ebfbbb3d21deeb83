import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from laser.analysis.frequency import CORPUS, DOCUMENTS, STAND_IN, TOLD, UNKNOWN, Frequency, frequency_of
from laser.artefacts import fig3b as fig3b_module
from laser.artefacts import fig3c as fig3c_module
from laser.artefacts.fig3b import POINTS, fig3b, fig3b_data
from laser.artefacts.fig3c import fig3c, fig3c_data, ratio_interval, thirds
from laser.errors import UserError
from laser.io.files import write_parquet
from laser.results.cells import PairedCell
from tests.artefacts import synthetic
from tests.artefacts.drawing import watch
from tests.artefacts.making import data_of, spec_of


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=60)


def cell(base, laser, model="m", dataset="d", top10=None):
    """One group for every two rows."""
    ids = [f"d-{number}" for number in range(len(base))]
    frame = pd.DataFrame({"id": ids, "group": [f"g{number // 2}" for number in range(len(ids))]})
    for arm, correct in (("base", base), ("laser", laser)):
        frame[f"{arm}_correct"] = np.array(correct, dtype=bool)
        frame[f"{arm}_in_top10"] = np.array(correct if top10 is None else top10, dtype=bool)
    return PairedCell(
        model, dataset, "corrected", frame, {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 3}, "fp32"
    )


def counted(values, source=DOCUMENTS):
    return Frequency(source, pd.Series(values, dtype="float64"), "training documents")


def rows_file(tmp_path, frequency=None):
    frame = pd.DataFrame({"id": ["a-0", "a-1", "b-0", "b-1"], "group": ["a", "a", "b", "b"], "answer": "x"})
    frame = frame.assign(options=[[]] * 4, split_published="test", split_corrected="test", answer_in_prompt=False)
    frame["frequency"] = pd.Series(frequency or [None] * 4, dtype="float64")
    path = tmp_path / "rows.parquet"
    write_parquet(path, frame, {"dataset": {"name": "d", "builder": "worldfacts"}})
    return path


def counts_file(tmp_path, text, name="counts.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_cumulative_curve_counts_rows_up_to_each_frequency():
    base, laser = [1, 0, 0, 0, 1, 1], [1, 1, 0, 0, 1, 0]
    frequency = counted({f"d-{number}": value for number, value in enumerate([1, 1, 5, 5, 9, 9])})
    data = fig3b_data(cell(base, laser, top10=[1, 1, 1, 1, 0, 0]), frequency)
    assert list(data["at_most"]) == [1, 5, 9] and list(data["n"]) == [2, 4, 6] and list(data["groups"]) == [1, 2, 3]
    assert list(data["base_accuracy"]) == pytest.approx([50, 25, 50])
    assert list(data["laser_accuracy"]) == pytest.approx([100, 50, 50])
    assert list(data["base_top10"]) == pytest.approx([100, 100, 100 * 4 / 6])
    assert (data["base_accuracy_low"] <= data["base_accuracy"]).all()
    assert (data["base_accuracy"] <= data["base_accuracy_high"]).all()
    # One group alone says nothing of others.
    assert (data["laser_accuracy_low"].iloc[0], data["laser_accuracy_high"].iloc[0]) == (0, 100)


def test_rows_without_a_frequency_are_left_out_and_counted():
    frequency = counted({"d-0": 3, "d-1": 3})
    data = fig3b_data(cell([1, 0, 0, 0], [1, 1, 1, 1]), frequency)
    assert list(data["n"]) == [2] and list(data["without_frequency"]) == [2]
    assert list(fig3c_data(cell([1, 0, 0, 0], [1, 1, 1, 1]), frequency, resamples=50)["without_frequency"]) == [2]


def test_many_frequencies_are_thinned_but_the_last_point_holds_every_row():
    draw = np.random.default_rng(0)
    right = draw.random(400) < 0.5
    values = {f"d-{number}": float(value) for number, value in enumerate(draw.permutation(400))}
    data = fig3b_data(cell(right, ~right), counted(values))
    assert len(data) <= POINTS and data["n"].iloc[-1] == 400 and data["at_most"].iloc[-1] == 399
    assert data["n"].diff().dropna().max() <= 2 * 400 / POINTS


def test_bins_of_the_paper_and_ratios_to_what_was_right_before():
    base, laser = [1, 1, 0, 0, 1, 0, 1, 1], [1, 0, 1, 1, 1, 0, 1, 1]
    frequency = counted({f"d-{number}": value for number, value in enumerate([0, 49, 20, 30, 50, 1000, 1001, 9999])})
    data = fig3c_data(cell(base, laser), frequency, resamples=500)
    assert list(data["bin"]) == ["<50", "50–1000", ">1000"] and list(data["n"]) == [4, 2, 2]
    assert list(data["corrected"]) == [2, 0, 0] and list(data["spoilt"]) == [1, 0, 0]
    assert list(data["right_before"]) == [2, 1, 2]
    assert list(data["corrected_ratio"]) == [1.0, 0.0, 0.0] and list(data["spoilt_ratio"]) == [0.5, 0.0, 0.0]
    assert list(data["lowest"]) == [0, 50, 1001] and list(data["highest"]) == [49, 1000, 9999]


def test_a_bin_in_which_nothing_was_right_before_has_no_ratio_and_says_so(monkeypatch, tmp_path):
    frequency = counted({f"d-{number}": 3 for number in range(4)})
    seen = watch(monkeypatch, fig3c_module, laid_out=False)
    data = fig3c(cell([0, 0, 0, 0], [1, 0, 0, 0]), frequency, tmp_path / "x", resamples=50)
    assert math.isnan(data["corrected_ratio"].iloc[0]) and data["corrected"].iloc[0] == 1
    assert "none right before" in seen["texts"]


def test_one_long_whisker_does_not_press_the_bars_down_and_its_end_is_written(monkeypatch, tmp_path):
    # Two of twenty-four rows were right before: some resamples hold one of them alone, beside many that became right.
    base, laser = [1, 0, 1, 0, *[0] * 20], [1, 0, 1, 0, *[1] * 20]
    frequency = counted({f"d-{number}": 3 for number in range(24)})
    seen = watch(monkeypatch, fig3c_module)
    data = fig3c(cell(base, laser), frequency, tmp_path / "x", resamples=400)
    (axis,) = seen["axes_drawn"]
    high, bar = data["corrected_ratio_high"].iloc[0], data["corrected_ratio"].iloc[0]
    assert bar == 10 and high > 20 and axis.get_ylim() == (0, 2 * bar)
    assert [text for text in seen["texts"] if text.startswith("↑")] == [f"↑ {high:.3g}"]
    assert "0" in seen["texts"] and seen["clashes"] == []


def test_whiskers_of_usual_length_are_drawn_whole(monkeypatch, tmp_path):
    frequency = counted({f"d-{number}": 3 for number in range(40)})
    seen = watch(monkeypatch, fig3c_module, laid_out=False)
    data = fig3c(cell([1, 0] * 20, [1, 1] * 10 + [0, 0] * 10), frequency, tmp_path / "x", resamples=100)
    (axis,) = seen["axes_drawn"]
    ends = data[["corrected_ratio_high", "spoilt_ratio_high"]].to_numpy().max()
    assert ends <= axis.get_ylim()[1] and not any("↑" in text for text in seen["texts"])


def test_thirds_hold_equally_many_groups_and_ties_share_a_bin():
    known = pd.DataFrame({"group": [f"g{number // 3}" for number in range(27)]})
    known["frequency"] = [float(number // 3) for number in range(27)]
    bins = thirds(known)
    sizes = [int(((known["frequency"] >= low) & (known["frequency"] < high)).sum()) for _, low, high in bins]
    assert sizes == [9, 9, 9] and [label for label, *_ in bins] == ["0–2", "3–5", "6–8"]
    assert [label for label, *_ in thirds(known.assign(frequency=4e6))] == ["4M"]
    tied = known.assign(frequency=[0.0] * 24 + [1.0, 1.0, 1.0])
    assert [label for label, *_ in thirds(tied)] == ["0", "1"]
    assert thirds(known.head(0)) == []


def test_the_interval_of_a_ratio_covers_it_and_ignores_draws_without_a_denominator():
    draw = np.random.default_rng(1)
    right = draw.random(600) < 0.4
    hits = ~right & (draw.random(600) < 0.3)
    groups = [number // 3 for number in range(600)]
    low, high = ratio_interval(hits, right, groups, [0, 1], 2000)
    assert low < hits.sum() / right.sum() < high
    assert ratio_interval(hits, right, groups, [0, 1], 2000) == (low, high)
    few = np.array([True, False, False, False])
    low, high = ratio_interval(~few, few, [0, 1, 2, 3], [0], 500)
    assert math.isfinite(low) and math.isfinite(high) and 0 <= low < high <= 3
    assert all(map(math.isnan, ratio_interval(few, np.zeros(4, bool), [0, 1, 2, 3], [0], 50)))


def test_a_trained_models_corpus_comes_before_the_users_counts_and_these_before_the_stand_in(tmp_path):
    rows = rows_file(tmp_path, [10.0, 10.0, 20.0, None])
    facts = tmp_path / "facts.parquet"
    write_parquet(facts, pd.DataFrame({"fact": ["a"], "sentences": [9], "clean": [7]}), {})
    users = counts_file(tmp_path, "group,count\nb,70\n")
    corpus = frequency_of(rows, facts, users)
    # A fact that the corpus does not tell stands in it 0 times.
    assert corpus.source == CORPUS and dict(corpus.values) == {"a-0": 7, "a-1": 7, "b-0": 0, "b-1": 0}
    assert corpus.told is not None and corpus.told.source == TOLD
    assert dict(corpus.told.values) == {"a-0": 9, "a-1": 9, "b-0": 0, "b-1": 0}
    given = frequency_of(rows, None, users)
    assert given.told is None and given.source == DOCUMENTS and dict(given.values) == {"b-0": 70, "b-1": 70}
    own = frequency_of(rows)
    assert own.source == STAND_IN and dict(own.values) == {"a-0": 10, "a-1": 10, "b-0": 20}
    assert "population" in own.axis and "stand-in" in own.axis
    assert frequency_of(rows_file(tmp_path)).source == UNKNOWN


def test_counts_are_read_from_csv_and_parquet_by_id_or_group(tmp_path):
    rows = rows_file(tmp_path)
    by_id = counts_file(tmp_path, "count,id,note\n3,a-0,x\n0,b-1,y\n")
    assert dict(frequency_of(rows, counts=by_id).values) == {"a-0": 3, "b-1": 0}
    parquet = tmp_path / "counts.parquet"
    pd.DataFrame({"group": ["a", "b"], "count": [1, 2]}).to_parquet(parquet)
    assert dict(frequency_of(rows, counts=parquet).values) == {"a-0": 1, "a-1": 1, "b-0": 2, "b-1": 2}


@pytest.mark.parametrize(
    "text, message",
    [
        ("group,number\na,3\n", "needs 'count'"),
        ("name,count\na,3\n", "'id' or 'group'"),
        ("group,count\na,3\na,4\n", "holds 'a' twice"),
        ("group,count\na,many\n", "the count of 'a' is 'many'"),
        ("group,count\na,-1\n", "the count of 'a' is '-1'"),
        ("group,count\na,\n", "the count of 'a' is ''"),
        ("group,count\na,inf\n", "the count of 'a' is 'inf'"),
        ("group,count\nz,3\n", "none of its 1 values of 'group'.*look like 'a'"),
    ],
)
def test_counts_that_cannot_be_used_are_told_with_their_file(tmp_path, text, message):
    path = counts_file(tmp_path, text)
    with pytest.raises(UserError, match=message) as error:
        frequency_of(rows_file(tmp_path), counts=path)
    assert str(path) in str(error.value)


def test_a_missing_counts_file_is_named(tmp_path):
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(UserError, match=name):
            frequency_of(rows_file(tmp_path), counts=tmp_path / name)


def test_without_any_frequency_a_notice_stands_in_place_of_the_figure(tmp_path):
    nothing = Frequency(UNKNOWN, pd.Series(dtype="float64"), "training frequency")
    for draw, name in ((fig3b, "b"), (fig3c, "c")):
        assert draw(cell([1, 0], [1, 1]), nothing, tmp_path / name).empty
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == 1


def test_the_papers_readings_are_drawn_for_its_own_cell_with_documents_alone(monkeypatch, tmp_path):
    base, laser = [1, 0, 0, 1], [1, 1, 0, 1]
    values = {"d-0": 5, "d-1": 60, "d-2": 200, "d-3": 2000}
    for source, dataset, drawn in (
        (DOCUMENTS, "counterfact", True),
        (STAND_IN, "counterfact", False),
        (DOCUMENTS, "fever", False),
    ):
        own = cell(base, laser, "gpt-j-6b", dataset)
        seen = watch(monkeypatch, fig3b_module, laid_out=False)
        fig3b(own, counted(values, source), tmp_path / "x")
        assert ("LASER in the paper" in seen["labels"]) is drawn
        seen = watch(monkeypatch, fig3c_module, laid_out=False)
        data = fig3c(own, counted(values, source), tmp_path / "x", resamples=20)
        assert ("in the paper" in seen["labels"]) is drawn
        if drawn:
            assert list(data["published_ratio"]) == [0.190, 0.138, 0.087]


@pytest.mark.parametrize(
    ("source", "values", "twice"),
    [
        (DOCUMENTS, [0, 3, 400, 90000], False),
        (STAND_IN, [1e6, 5e6, 3.7e7, 1.4e9], False),
        (CORPUS, [0, 3, 40, 84], True),
    ],
)
def test_nothing_overlaps(monkeypatch, tmp_path, source, values, twice):
    frequency = Frequency(
        source, pd.Series({f"d-{number}": value for number, value in enumerate(values)}), "population (a stand-in)"
    )
    frequency = replace(frequency, told=Frequency(TOLD, frequency.values, "sentences") if twice else None)
    own = cell([1, 0, 1, 1], [1, 1, 1, 0], "lab-gptj-noise0.75-seed0", "worldfacts")
    for module, draw in ((fig3b_module, fig3b), (fig3c_module, fig3c)):
        seen = watch(monkeypatch, module)
        draw(own, frequency, tmp_path / "x")
        assert seen["clashes"] == []


@pytest.mark.parametrize("name", ["fig3b", "fig3c"])
def test_every_cell_and_protocol_is_drawn_in_the_specs_order(study, tmp_path, name):
    facts = study.folder / "cache/corpora/corpus-0/facts.parquet"
    groups = [f"worldfacts-g{number}" for number in range(40)]
    write_parquet(facts, pd.DataFrame({"fact": groups, "clean": range(40), "sentences": range(40, 80)}), {})
    cells = [("tiny-llama", "worldfacts"), ("gpt-j-6b", "fever")]
    corpora = {"tiny-llama": "corpus-0"}
    spec = spec_of(name, cells, corpora=corpora, protocols=["corrected", "published"], resamples=50, counts={})
    drawn = data_of(study.folder, spec, tmp_path)
    found = [tuple(frame[["model", "dataset", "protocol"]].iloc[0]) for frame in drawn[:2]]
    assert found == [("tiny-llama", "worldfacts", "corrected"), ("tiny-llama", "worldfacts", "published")]
    in_corpus = {CORPUS, TOLD} if name == "fig3c" else {CORPUS}
    assert set(drawn[0]["frequency_from"]) == in_corpus
    # Without any frequency there are pictures all the same, with data that say so.
    assert drawn[2].empty and drawn[3].empty
    counts = tmp_path / "counts.csv"
    counts.write_text("group,count\nfever-g30,7\nfever-g31,8\n")
    drawn = data_of(study.folder, spec | {"counts": {"fever": str(counts)}}, tmp_path)
    assert set(drawn[2]["frequency_from"]) == {DOCUMENTS} and set(drawn[0]["frequency_from"]) == in_corpus
