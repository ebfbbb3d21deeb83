"""Clustered rows from made-up files: the table counted by hand, the numbers behind the figure, and the files."""

import pandas as pd
import pytest

from laser.analysis.tables import read_table
from laser.artefacts.clustered import ARTEFACT, clustered_table
from laser.artefacts.clusters import clusters_data
from laser.errors import UserError
from laser.io.files import read_parquet, write_parquet
from laser.results.loading import load_cells
from tests.artefacts import synthetic
from tests.artefacts.making import EVERY_CELL, frames, make, spec_of
from tests.artefacts.synthetic import PROTOCOLS
from tests.artefacts.synthetic_more import spec_of as spec_of_cell

COUNTS, RHOS = (1, 4), (0.5, 0.1)
BEST = {"clusters": 4, "rho": 0.1, "parameters": 77}
PLACE = {"matrix": "u_out", "layer": 2}
SAID = {"places": {name: PLACE for name in PROTOCOLS}, "chosen": {name: BEST for name in PROTOCOLS}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The made-up study with rows of clusters: what base answers, but for the best ones, which are all right."""
    study = synthetic.build(tmp_path_factory.mktemp("study"), examples=60)
    study.clustered = []
    for number, base in enumerate(study.bases):
        spec, parts = spec_of_cell(study, number), []
        test, validation = read_parquet(study.tests[number]), read_parquet(base)
        for count in COUNTS:
            for rho in RHOS:
                right = {"correct": True} if (count, rho) == (4, 0.1) else {}
                parts.append(validation.assign(split="validation", clusters=count, rho=rho, **right))
        tested = test[test["arm"] == "base"].drop(columns="arm")
        parts.append(tested.assign(split="test", clusters=4, rho=0.1, correct=True, prediction="true"))
        path = study.folder / f"clustered/{spec['model']['name']}/{spec['dataset']['name']}.parquet"
        write_parquet(path, pd.concat(parts, ignore_index=True), spec | SAID)
        study.clustered.append(path)
    return study


def test_the_best_is_compared_with_base_and_with_laser_on_the_same_rows(study):
    cells = load_cells(study.tests, study.selections, study.rows)
    table = clustered_table(cells, study.clustered, resamples=200)
    assert len(table) == len(EVERY_CELL) * len(PROTOCOLS)
    for cell, (_, row) in zip(cells, table.iterrows(), strict=True):
        base, laser = (100 * cell.rows[f"{arm}_correct"].mean() for arm in ("base", "laser"))
        assert (row["clustered"], row["validation"], row["n"]) == (100, 100, len(cell.rows))
        assert row["base"] == pytest.approx(base) and row["laser"] == pytest.approx(laser)
        assert row["difference_over_base"] == pytest.approx(100 - base)
        assert row["difference_over_laser"] == pytest.approx(100 - laser)
        assert (row["matrix"], row["layer"], row["clusters"], row["rho"], row["parameters"]) == ("u_out", 2, 4, 0.1, 77)
        assert (row["commonest_answer"], row["commonest_share"]) == ("true", 100)
        answers = cell.rows["answer"].str.strip().str.lower().value_counts(normalize=True)
        assert row["constant"] == pytest.approx(100 * answers.max())


def test_files_of_other_rows_or_cells_are_refused(study, tmp_path):
    cells = load_cells(study.tests, study.selections, study.rows)
    with pytest.raises(UserError, match="no file was given"):
        clustered_table(cells, study.clustered[1:], resamples=200)
    frame = read_parquet(study.clustered[0])
    frame = frame[(frame["split"] != "test") | (frame["id"] != frame.loc[frame["split"] == "test", "id"].iloc[0])]
    write_parquet(tmp_path / "x.parquet", frame, spec_of_cell(study, 0) | SAID)
    with pytest.raises(UserError, match="other rows than the test file"):
        clustered_table(cells[:1], [tmp_path / "x.parquet"], resamples=200)


def test_the_figure_has_a_line_per_number_of_clusters(study):
    data = clusters_data(study.clustered[0], study.bases[0], "corrected")
    assert list(zip(data["clusters"], data["rho"], strict=True)) == [(count, rho) for count in COUNTS for rho in RHOS]
    assert data["accuracy"].iloc[-1] == 100 and (data["accuracy"].iloc[:-1] == data["base_accuracy"].iloc[0]).all()
    assert data["loss"].sub(data["base_loss"]).abs().max() < 1e-12 and set(data["removed_percent"]) == {50, 90}


def test_files_are_the_same_every_time(study, tmp_path):
    first, second = (make(study.folder, spec_of("clustered", EVERY_CELL), tmp_path / part) for part in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    drawn = make(study.folder, spec_of("clusters", EVERY_CELL[:1]), tmp_path)  # no other test writes it for real
    assert all(len(frame) for frame in frames([*first, *drawn]))
    assert len(read_table(tmp_path / "a/tables/clustered.csv", ARTEFACT.texts)) == len(EVERY_CELL) * 2
