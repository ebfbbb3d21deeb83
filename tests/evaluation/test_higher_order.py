import math

import pandas as pd
import pytest
import torch

from laser.config.specs import HigherOrderSpec
from laser.evaluation import higher_order as module
from laser.evaluation.cell import answers_for, result_rows
from laser.evaluation.higher_order import higher_order, repaired, similarity
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.models.load import load
from laser.reduction.interventions import Intervention
from tests.evaluation.small_cell import SmallCell, place
from tests.evaluation.tiny_cell import open_cell

CHOSEN = place("u_out", 1, 0.1)


def base_test_rows(cell):
    """Evaluate base on the test rows, as the test job does; no LASER arm yet."""
    opened = open_cell(cell.evaluation, cell.model / "card.json", cell.rows, cell.folder / "factors", "test")
    (answers,) = answers_for(opened, [()], lambda count: None)
    return pd.concat([result_rows(opened, answers, name, arm="base") for name in cell.spec["protocols"]])


@pytest.fixture(scope="module", params=["llama", "roberta"])
def ran(request, tmp_path_factory):
    """Run a cell whose test file calls every third row repaired."""
    cell = SmallCell(tmp_path_factory.mktemp(request.param), request.param)
    base = base_test_rows(cell).assign(correct=False)
    laser = base.assign(arm="laser", correct=[place % 3 == 0 for place in range(len(base))], prediction="never read")
    write_parquet(cell.folder / "test.parquet", pd.concat([base, laser]), {})
    job = cell.job(
        HigherOrderSpec,
        cell.folder / "higher.parquet",
        {"percents": [0, 10, 95, 100]},
        test=cell.folder / "test.parquet",
        selection=cell.select(CHOSEN),
    )
    higher_order(job)
    return cell, base, laser, read_parquet(cell.folder / "higher.parquet"), read_spec(cell.folder / "higher.parquet")


def test_rows_are_the_repaired_ones_under_every_percent(ran):
    cell, _, laser, found, _ = ran
    for protocol in cell.spec["protocols"]:
        own = laser[(laser["protocol"] == protocol) & laser["correct"]]
        for percent in (0.0, 10.0, 95.0, 100.0):
            rows = found[(found["protocol"] == protocol) & (found["percent"] == percent)]
            assert rows["id"].tolist() == own["id"].tolist() and len(rows) > 3


def test_the_whole_matrix_gives_bases_own_answer(ran):
    cell, base, _, found, spec = ran
    whole = found[found["percent"] == 100].merge(base, on=["protocol", "id"], suffixes=("", "_base"))
    assert (whole["prediction"] == whole["prediction_base"]).all()
    assert (whole["loss"] - whole["loss_base"]).abs().max() < 1e-4
    for protocol in cell.spec["protocols"]:
        count = int((whole["protocol"] == protocol).sum())
        assert spec["whole_matrix"][protocol] == {"rows": count, "as_base": count}
        assert spec["repaired"][protocol] == count
    part = found[found["percent"] == 10].merge(base, on=["protocol", "id"], suffixes=("", "_base"))
    assert (part["loss"] - part["loss_base"]).abs().max() > 1e-2


@pytest.mark.parametrize("percent", [0, 10])
def test_it_is_the_smallest_components_that_are_kept(ran, percent):
    cell, *_, found, _ = ran
    opened = open_cell(cell.evaluation, cell.model / "card.json", cell.rows, cell.folder / "factors", "test")
    edit = Intervention("u_out", 1, 0.1, "smallest")
    weight = opened.loaded.model.get_parameter(
        "model.layers.1.mlp.down_proj.weight" if cell.kind == "llama" else "roberta.encoder.layer.1.output.dense.weight"
    )
    factors = opened.store.get(weight.float())
    count = 3 if percent else 0
    first = len(factors.s) - count
    with torch.no_grad():
        weight.copy_((factors.u[:, first:] * factors.s[first:]) @ factors.vt[first:])
    assert edit.rho * min(weight.shape) // 1 == 3
    (answers,) = answers_for(opened, [()], lambda count: None)
    expected = result_rows(opened, answers, "corrected")
    own = found[(found["protocol"] == "corrected") & (found["percent"] == percent)].merge(expected, on="id")
    assert (own["loss_x"] - own["loss_y"]).abs().max() < 1e-4
    assert (own["prediction_x"] == own["prediction_y"]).all()


def test_similarity_is_the_cosine_of_mean_input_embeddings(ran):
    cell, *_, found, _ = ran
    loaded = load(cell.model, "fp32", "cpu")
    table, tokenizer = loaded.model.get_input_embeddings().weight, loaded.tokenizer
    answer = {row["id"]: row["answer"] for row in cell.frame().to_dict("records")}

    def ids(text):
        spelled = tokenizer(f"is {text.strip()}", add_special_tokens=False)["input_ids"]
        spelled = spelled[len(tokenizer("is", add_special_tokens=False)["input_ids"]) :]
        return spelled[1:] if not tokenizer.decode(spelled[0]).strip() else spelled

    alike = similarity(loaded)
    for prediction, true in (("Cairo", " Paris"), (" yen", "peso"), ("South America is", " Asia"), ("true", "false")):
        right = ids(true)
        one = table[ids(prediction)[: len(right)]].double().mean(0)
        other = table[right].double().mean(0)
        expected = float((one @ other) / (one.norm() * other.norm()))
        assert alike(prediction, true) == pytest.approx(expected, abs=1e-9), prediction
    known = found[found["similarity"].notna()]
    assert len(known) > 3
    for row in known.to_dict("records"):
        assert row["similarity"] == alike(row["prediction"], answer[row["id"]])


def test_similarity_of_an_answer_with_itself_is_one_and_of_nothing_is_unknown(ran):
    cell, *_ = ran
    alike = similarity(load(cell.model, "fp32", "cpu"))
    assert alike("Paris", " Paris") == pytest.approx(1)
    assert alike(" Paris and much more text", " Paris") == pytest.approx(1)
    assert alike("yen", " Paris") < 1 - 1e-6
    assert math.isnan(alike("", " Paris"))


@pytest.mark.parametrize("why", ["base was chosen", "nothing repaired"])
def test_without_repaired_rows_the_file_is_empty_and_no_model_is_loaded(ran, why, tmp_path, monkeypatch):
    cell, base, laser, full, _ = ran
    monkeypatch.setattr(module, "job_cell", lambda *args, **more: pytest.fail("a model was loaded"))
    arm = laser if why == "base was chosen" else laser.assign(correct=False)
    write_parquet(tmp_path / "test.parquet", pd.concat([base, arm]), {})
    selection = cell.select(None if why == "base was chosen" else CHOSEN)
    job = cell.job(
        HigherOrderSpec,
        tmp_path / "none.parquet",
        {"percents": [10, 100]},
        test=tmp_path / "test.parquet",
        selection=selection,
    )
    higher_order(job)
    found, spec = read_parquet(tmp_path / "none.parquet"), read_spec(tmp_path / "none.parquet")
    assert found.empty
    assert found.dtypes.to_dict() == full.dtypes.to_dict() and list(found) == list(full)
    assert set(spec["repaired"].values()) == {0}


def test_a_row_that_base_has_right_is_not_repaired():
    rows = [("base", "a", True), ("base", "b", False), ("base", "c", False)]
    rows += [("laser", "a", True), ("laser", "b", True), ("laser", "c", False)]
    frame = pd.DataFrame([("corrected", *row) for row in rows], columns=["protocol", "arm", "id", "correct"])
    assert repaired(frame, "corrected") == ["b"]
    assert repaired(frame, "published") == []


def test_same_inputs_give_the_same_bytes(ran, tmp_path):
    cell, *_ = ran
    for name in ("one", "two"):
        paths = {"test": cell.folder / "test.parquet", "selection": cell.select(CHOSEN)}
        higher_order(cell.job(HigherOrderSpec, tmp_path / name, {"percents": [50]}, **paths))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
