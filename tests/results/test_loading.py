import json

import pandas as pd
import pytest

from laser.results import loading
from laser.results.averages import load_sweep
from laser.errors import UserError
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from tests.artefacts import synthetic


@pytest.fixture
def study(tmp_path):
    return synthetic.build(tmp_path, examples=60)


def load(study):
    return loading.load_cells(study.tests, study.selections, study.rows)


def rewrite(path, change, spec=None):
    write_parquet(path, change(read_parquet(path)), read_spec(path) | (spec or {}))


def test_cells_pair_both_arms_on_the_test_rows_of_their_split(study):
    cells = load(study)
    assert [(one.model, one.dataset, one.protocol) for one in cells] == [
        (model, dataset, protocol)
        for model in synthetic.MODELS
        for dataset in synthetic.DATASETS
        for protocol in synthetic.PROTOCOLS
    ]
    prepared = synthetic.prepared("worldfacts", 60)
    for cell in cells:
        assert cell.dtype == "fp16" and cell.complete
        if cell.dataset == "worldfacts":
            wanted = prepared[prepared[f"split_{cell.protocol}"] == "test"]
            assert list(cell.rows["id"]) == list(wanted["id"])
            assert list(cell.rows["group"]) == list(wanted["group"])


def test_scores_reach_the_row_they_belong_to_whatever_their_order_in_the_file(study):
    before = load(study)[0].rows
    rewrite(study.tests[0], lambda frame: frame.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(load(study)[0].rows, before)


def test_base_stands_for_laser_where_selection_kept_it(study):
    last = load(study)[-1]
    assert (last.protocol, last.chosen) == ("corrected", None)
    assert (last.rows["laser_loss"] == last.rows["base_loss"]).all()
    rewrite(study.tests[-1], lambda frame: frame[(frame["protocol"] == "published") | (frame["arm"] == "base")])
    pd.testing.assert_frame_equal(load(study)[-1].rows, last.rows)


def test_rows_that_could_not_be_scored_are_set_aside_only_if_the_file_says_so(study):
    gone = read_parquet(study.tests[0])["id"].iloc[0]
    rewrite(study.tests[0], lambda frame: frame[frame["id"] != gone])
    with pytest.raises(UserError, match="1 missing"):
        load(study)
    rewrite(study.tests[0], lambda frame: frame, {"run": {"left_out": {gone: "prompt too long"}}})
    assert gone not in set(load(study)[0].rows["id"])


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda frame: pd.concat([frame, frame.head(1)]), "1 twice"),
        (lambda frame: frame.assign(id=frame["id"].replace("fever-30", "fever-0")), "1 missing, 1 that do not belong"),
        (lambda frame: frame[frame["arm"] == "base"], "arm laser does not hold"),
        (lambda frame: frame.assign(loss=float("nan"), correct=False), "has no rank"),
        (lambda frame: frame.assign(loss=float("nan"), answer_rank=float("nan"), correct=True), "it is wrong"),
        (lambda frame: frame.drop(columns="prediction"), "prediction"),
    ],
)
def test_a_test_file_that_does_not_fit_is_named(study, change, expected):
    rewrite(study.tests[0], change)
    with pytest.raises(UserError, match=expected) as raised:
        load(study)
    assert str(study.tests[0]) in str(raised.value)


def test_a_test_of_another_intervention_than_the_selected_one_is_refused(study):
    selection = read_json(study.selections[0])
    selection["protocols"]["corrected"]["chosen"]["layer"] = 0
    write_json(study.selections[0], selection)
    with pytest.raises(UserError, match="protocol corrected was tested with"):
        load(study)


def test_missing_and_damaged_files_are_named(study):
    with pytest.raises(UserError, match="no selection file was given for gpt-j-6b on fever"):
        loading.load_cells(study.tests, study.selections[1:], study.rows)
    with pytest.raises(UserError, match="prepared rows of fever were not given"):
        loading.load_cells(study.tests, study.selections, study.rows[1:])
    with pytest.raises(UserError, match="does not exist"):
        loading.load_cells([study.folder / "none.parquet"], study.selections, study.rows)
    study.tests[0].write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        load(study)
    study.selections[0].write_text(json.dumps({"model": "x"}))
    with pytest.raises(UserError, match="lacks the key 'dataset'"):
        loading.load_selections(study.selections)


def test_sweep_means_are_those_of_the_rows(study):
    swept, base = load_sweep(study.sweeps["gpt-j-6b", "fever"], study.bases[0])
    count = len(synthetic.PROTOCOLS) * len(synthetic.MATRICES) * len(synthetic.LAYERS) * len(synthetic.RHOS)
    assert len(swept) == count and len(base) == len(synthetic.PROTOCOLS)
    rows = read_parquet(study.sweeps["gpt-j-6b", "fever"][0])
    rows = rows[(rows["protocol"] == "corrected") & (rows["matrix"] == "u_out")]
    found = swept.query("protocol == 'corrected' and matrix == 'u_out' and layer == 0 and rho == 0.9").iloc[0]
    assert found["loss"] == pytest.approx(rows["loss"].mean(), rel=1e-12)
    assert found["accuracy"] == pytest.approx(100 * rows["correct"].mean())
    assert found["first_top5"] == pytest.approx(100 * (rows["answer_rank"] <= 5).mean())
    assert found["n"] == len(rows)


def test_a_sweep_of_another_cell_or_other_rows_is_refused(study):
    files = study.sweeps["gpt-j-6b", "fever"]
    with pytest.raises(UserError, match="holds tiny-llama on fever, but"):
        load_sweep(study.sweeps["tiny-llama", "fever"], study.bases[0])
    with pytest.raises(UserError, match="is in two sweep files"):
        load_sweep([*files, files[0]], study.bases[0])
    with pytest.raises(UserError, match="no sweep file"):
        load_sweep([], study.bases[0])
    rewrite(files[0], lambda frame: frame[frame["id"] != frame["id"].iloc[0]])
    with pytest.raises(UserError, match="other validation rows") as raised:
        load_sweep(files, study.bases[0])
    assert str(files[0]) in str(raised.value)


def test_reduction_records_become_one_row_per_matrix(study):
    frame = loading.load_reductions(study.records)
    assert list(frame.columns[:4]) == ["model", "layer", "matrix", "rho"]
    assert len(frame) == len(synthetic.MODELS) * len(synthetic.LAYERS) * len(synthetic.RHOS) * len(synthetic.MATRICES)
    assert "shape" not in frame.columns
    with pytest.raises(UserError, match="No reduction record"):
        loading.load_reductions([])
