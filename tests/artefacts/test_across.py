"""The table of gains across models and datasets, and its forest plot."""

import pandas as pd
import pytest

from laser.analysis.verdicts import PART
from laser.artefacts import across as table
from laser.artefacts import forest, table1
from laser.artefacts.across import OTHERS, OURS, PAPER
from laser.artefacts.forest import ALL_OF_THE_PAPER, forest_data
from laser.config.specs import PARTIAL
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.paper.published import read_published
from laser.paper.reproductions import read_reproductions
from tests.artefacts import synthetic
from tests.artefacts.drawing import watch
from tests.artefacts.making import EVERY_CELL, data_of, frames, make, spec_of


def ours(model="m", dataset="fever", protocol="corrected", base=20.0, gain=3.0, matrix="u_in", n=50):
    cell = {"model": model, "dataset": dataset, "protocol": protocol, "metric": "accuracy", "n": n}
    row = cell | {"arm": "laser", "value": base + gain, "matrix": matrix, "layer": 5 if matrix else None}
    row |= {"rho": 0.1 if matrix else None, "difference": gain, "difference_low": gain - 1}
    row |= {"difference_high": gain + 1, "p_holm": 0.01}
    return [cell | {"arm": "base", "value": base}, row, row | {"metric": "loss", "value": 2.0, "difference": -0.1}]


def made(*cells):
    frame = pd.DataFrame([row for cell in cells for row in cell], columns=list(table1.COLUMNS))
    return table.across(frame, read_published(), read_reproductions())


def test_our_gains_are_those_of_table_1(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    (source,) = data_of(study.folder, spec_of("table1"), study.folder)
    files = make(study.folder, spec_of("across"), study.folder)
    frame = pd.read_csv(files[0], keep_default_na=False, na_values=[""], float_precision="round_trip")
    own = frame[frame["whose"] == OURS].set_index(["model", "dataset", "protocol"])
    expected = source[(source["metric"] == "accuracy") & (source["arm"] == "laser")]
    assert len(own) == len(expected) == len(synthetic.MODELS) * len(synthetic.DATASETS) * 2
    for row in expected.to_dict("records"):
        line = own.loc[row["model"], row["dataset"], row["protocol"]]
        assert [line["laser"], line["gain"], line["gain_low"], line["gain_high"], line["p_holm"]] == [
            row[name] for name in ("value", "difference", "difference_low", "difference_high", "p_holm")
        ]
        assert line["base"] == pytest.approx(row["value"] - row["difference"])
    for view in table.views(frame.fillna({"protocol": "", "setting": "", "source": ""})):
        assert view.rows and all(len(row) == len(view.columns) for row in view.rows)
    drawn = frames(make(study.folder, spec_of("forest"), study.folder))
    assert [set(one["protocol"].dropna()) for one in drawn] == [{name} for name in synthetic.PROTOCOLS]


def test_a_dataset_holds_ours_then_the_papers_then_others():
    frame = made(ours(dataset="worldfacts"), ours(dataset="qa_wikidata"), ours(dataset="qa_wikidata", model="other"))
    assert list(dict.fromkeys(frame["dataset"]))[:2] == ["worldfacts", "qa_wikidata"]
    part = frame[frame["dataset"] == "qa_wikidata"]
    assert list(dict.fromkeys(part["whose"])) == [OURS, PAPER, OTHERS]
    assert list(part[part["whose"] == OURS]["model"]) == ["m", "other"]
    assert set(frame[frame["dataset"] == "worldfacts"]["whose"]) == {OURS}


def test_the_papers_gains_are_its_own_numbers_and_have_no_interval():
    frame = made(ours())
    printed = frame[frame["whose"] == PAPER]
    assert len(printed) == 24 and set(printed["dataset"]) == set(read_published().datasets)
    row = printed[(printed["model"] == "GPT-J") & (printed["dataset"] == "fever")].iloc[0]
    assert (row["base"], row["laser"], row["gain"], row["setting"]) == (50.2, 56.2, 6.0, "[U_in, 24, 0.01]")
    assert row["n"] == 10469
    assert frame.loc[frame["whose"] != OURS, ["gain_low", "gain_high", "p_holm"]].isna().all(axis=None)
    assert set(frame.loc[frame["whose"] == OTHERS, "source"]) >= {"laser issue #27", "mayaaha/laser logs"}


def test_there_is_a_view_per_protocol_with_the_papers_rows_on_the_same_datasets():
    views = table.views(made(ours(), ours(protocol="published", gain=-1.0)))
    assert [view.name for view in views] == ["across_corrected", "across_published"]
    for view, gain in zip(views, ("+3.0 [+2.0, +4.0]", "−1.0 [−2.0, 0.0]"), strict=True):
        assert [row[5] for row in view.rows if row[2] == OURS] == [gain]
        assert sum(row[2] == PAPER for row in view.rows) == 3 and {row[0] for row in view.rows} == {"fever"}
        assert "laser issue #27" in {row[2] for row in view.rows}
    (view,) = table.views(made(ours(dataset="worldfacts")))
    assert sum(row[2] == PAPER for row in view.rows) == 24


def test_the_picture_shows_the_studys_datasets_and_no_others(monkeypatch, tmp_path):
    seen = watch(monkeypatch, forest)
    frame = made(ours(dataset="worldfacts"), ours(), ours(model="kept", gain=0.0, matrix=""), ours(model="x" * 40))
    data = forest.forest(frame, "corrected", tmp_path / "picture")
    assert set(data["dataset"]) == {"worldfacts", "fever"} and ALL_OF_THE_PAPER not in set(data["row"])
    assert seen["labels"] == [forest.LABELS[whose] for whose in (OURS, PAPER, OTHERS)]
    assert "20.0 → 23.0" in seen["texts"] and "20.0, base kept" in seen["texts"]
    assert seen["clashes"] == []


@pytest.mark.parametrize("models", [1, 30])
def test_without_the_papers_datasets_all_that_it_prints_stands_in_one_row(monkeypatch, tmp_path, models):
    seen = watch(monkeypatch, forest)
    frame = made(*(ours(dataset="worldfacts", model=f"model {place}") for place in range(models)))
    data = forest.forest(frame, "corrected", tmp_path / "picture")
    assert (data["row"] == ALL_OF_THE_PAPER).sum() == 24
    assert seen["labels"] == [forest.LABELS[whose] for whose in (OURS, PAPER)] and seen["clashes"] == []


def test_a_picture_holds_its_own_protocol_alone():
    frame = made(ours(), ours(protocol="published", gain=-1.0))
    assert [list(forest_data(frame, name).query("whose == @OURS")["gain"]) for name in ("corrected", "published")] == [
        [3.0],
        [-1.0],
    ]


def test_a_dataset_of_which_the_study_holds_a_part_is_marked(monkeypatch, tmp_path):
    frame = pd.DataFrame(
        [row for dataset in ("fever", "qa_wikidata") for row in ours(dataset=dataset)], columns=list(table1.COLUMNS)
    )
    data = table.across(frame, read_published(), [], {"fever": "the first 40 rows", "qa_wikidata": ""})
    assert set(data.loc[data["rows"] != "", "whose"]) == {OURS}
    own = [row[0] for row in table.views(data)[0].rows if row[2] == OURS]
    assert own == ["fever (the first 40 rows)", "qa_wikidata"]
    seen = watch(monkeypatch, forest)
    forest.forest(data, "corrected", tmp_path / "picture")
    assert seen["clashes"] == [] and "the first 40 rows" in seen["texts"]
    assert {"fever", "qa_wikidata"} <= set(seen["rows"])


@pytest.mark.parametrize(
    ("limit", "reason", "expected"),
    [
        (40, None, "the first 40 rows"),
        (None, "half of it", PART),
        (40, "half of it", f"{PART}; the first 40 rows"),
    ],
)
def test_the_rows_that_a_study_holds_are_those_of_its_data(tmp_path, limit, reason, expected):
    study = synthetic.build(tmp_path, examples=60)
    frame, spec = read_parquet(study.rows[0]), read_spec(study.rows[0])
    spec["dataset"]["limit"] = limit
    write_parquet(study.rows[0], frame, spec | ({PARTIAL: reason} if reason else {}))
    cells = EVERY_CELL[:2]  # of one model
    make(study.folder, spec_of("table1", cells), study.folder)
    files = make(study.folder, spec_of("across", cells), study.folder)
    (made,) = frames(files)
    held = made[made["whose"] == OURS].groupby("dataset")["rows"].agg(lambda texts: set(texts.fillna("")))
    assert held["fever"] == {expected} and held["worldfacts"] == {""}
    assert ("Part of the paper's rows: fever (half of it)" in files[1].read_text()) == bool(reason)
