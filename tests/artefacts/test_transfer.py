"""The matrix of gains, the generic choice and the heat map, from made-up files whose answers are known."""

import pytest

from laser.analysis.tables import read_table
from laser.artefacts import table1, transfer
from laser.config.artefacts import declared
from laser.errors import UserError
from laser.io.files import read_parquet, read_spec, write_parquet
from tests.artefacts import synthetic, synthetic_more
from tests.artefacts.making import data_of, make, spec_of

MODEL = "tiny-llama"
CELLS = [(MODEL, dataset) for dataset in synthetic.DATASETS]
OTHER = synthetic_more.OTHER


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A model on two datasets; under corrected the second one chose base."""
    made = synthetic.build(tmp_path_factory.mktemp("study"), examples=60, models=(MODEL,))
    for number in range(2):
        synthetic_more.transfer(made, number)
    return made


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make(study.folder, spec_of("transfer", CELLS), folder)
    return folder


@pytest.fixture(scope="module")
def table(made):
    return read_table(made / "tables/transfer.csv", declared()["transfer"].texts)


def line(table, **names):
    for name, value in names.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


def test_every_pair_and_a_generic_choice_for_each_dataset(table):
    assert len(table) == 2 * (2 * 2 + 2)
    assert table.loc[table["choice"] == "generic", "chosen_on"].eq("").all()
    assert table["difference"].notna().all() and (table["difference_low"] <= table["difference"]).all()


def test_gains_are_those_of_the_rows(study, table):
    for number, dataset in enumerate(synthetic.DATASETS):
        rows = read_parquet(study.folder / f"transfer/{MODEL}/{dataset}.parquet")
        tested = read_parquet(study.tests[number])
        for protocol in synthetic.PROTOCOLS:
            base = tested[(tested["protocol"] == protocol) & (tested["arm"] == "base")]["correct"].mean()
            moved = rows[(rows["protocol"] == protocol) & (rows["matrix"] == OTHER["matrix"])]["correct"].mean()
            row = line(table, protocol=protocol, applied_to=dataset, choice="generic")
            assert (row["matrix"], row["layer"], row["rho"]) == (OTHER["matrix"], OTHER["layer"], OTHER["rho"])
            assert row["base"] == pytest.approx(100 * base) and row["difference"] == pytest.approx(100 * (moved - base))


def test_a_datasets_own_choice_has_the_numbers_of_table_1_and_base_gains_nothing(study, table, tmp_path):
    make(study.folder, spec_of("table1", CELLS), tmp_path)
    first = read_table(tmp_path / "tables/table1.csv", table1.ARTEFACT.texts)
    for row in table[table["own"]].to_dict("records"):
        names = {"protocol": row["protocol"], "dataset": row["applied_to"], "metric": "accuracy", "arm": "laser"}
        theirs = line(first, **names)
        for ours, other in (("laser", "value"), ("difference", "difference"), ("difference_low", "difference_low")):
            assert row[ours] == theirs[other]
        assert row["p_value"] == theirs["p_value"] and row["p_holm"] != row["p_holm"]
    kept = table[(table["protocol"] == "corrected") & (table["chosen_on"] == synthetic.DATASETS[1])]
    assert (kept["matrix"] == "").all() and (kept["difference"] == 0).all() and (kept["p_value"] == 1).all()


def test_the_matrix_shows_each_pair_once_and_own_choices_in_bold(table):
    views = {view.name: view for view in transfer.views(table)}
    assert set(views) == {
        f"{name}_{protocol}" for name in ("transfer", "transfer_generic") for protocol in synthetic.PROTOCOLS
    }
    matrix = views["transfer_corrected"]
    assert matrix.columns == ["Model", "Chosen on", "Choice", *synthetic.DATASETS]
    assert matrix.bold == {(0, 3), (1, 4)} and matrix.rows[1][2] == "base" and matrix.rows[1][3].startswith("0.0 [")
    generic = views["transfer_generic_published"]
    assert [row[1] for row in generic.rows] == list(synthetic.DATASETS) and len(generic.rows[0]) == len(generic.columns)


def test_the_picture_has_the_tables_numbers(study, made, table, tmp_path):
    spec = spec_of("transfer_map", CELLS)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/transfer.csv").write_bytes((made / "tables/transfer.csv").read_bytes())
    data_of(tmp_path, spec, tmp_path / "a")
    for protocol in synthetic.PROTOCOLS:
        drawn = read_table(
            tmp_path / f"a/figures/transfer_map/{MODEL}/{protocol}.csv", declared()["transfer_map"].texts
        )
        expected = table[table["protocol"] == protocol]
        assert drawn["difference"].tolist() == expected["difference"].tolist()


def test_rows_that_are_missing_or_unexplained_are_refused(study, tmp_path):
    path = study.folder / f"transfer/{MODEL}/{synthetic.DATASETS[0]}.parquet"
    frame, spec, before = read_parquet(path), read_spec(path), path.read_bytes()
    try:
        write_parquet(path, frame[frame["protocol"] == "published"], spec)
        with pytest.raises(
            UserError, match=r"The choice \[u_out, 2, 0\.1\] of tiny-llama on fever, protocol corrected"
        ):
            make(study.folder, spec_of("transfer", CELLS), tmp_path)
        write_parquet(path, frame, {key: value for key, value in spec.items() if key != "transferred"})
        with pytest.raises(UserError, match="does not say which choices are applied"):
            make(study.folder, spec_of("transfer", CELLS), tmp_path)
    finally:
        path.write_bytes(before)
