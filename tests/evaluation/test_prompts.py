import pandas as pd
import pytest
import torch

from laser.config.specs import PromptsSpec
from laser.engine.live_edits import edited
from laser.evaluation.cell import answers_for, intervention, result_rows
from laser.evaluation.prompts import evaluate_prompts, first_groups, questions_of
from laser.io.files import read_parquet, read_spec
from laser.tasks.variants import variants
from tests.evaluation.small_cell import SmallCell, place
from tests.evaluation.tiny_cell import open_cell

CHOSEN = place("u_out", 1, 0.1)
NAMES = [one.name for one in variants("worldfacts")]


@pytest.fixture(scope="module", params=["llama", "roberta"])
def ran(request, tmp_path_factory):
    cell = SmallCell(tmp_path_factory.mktemp(request.param), request.param)
    evaluate_prompts(cell.job(PromptsSpec, cell.folder / "prompts.parquet", selection=cell.select(CHOSEN)))
    return cell, read_parquet(cell.folder / "prompts.parquet"), read_spec(cell.folder / "prompts.parquet")


def opened(cell):
    return open_cell(cell.evaluation, cell.model / "card.json", cell.rows, cell.folder / "factors", "test")


def test_every_wording_and_arm_has_every_test_row(ran):
    cell, found, spec = ran
    assert list(found)[:4] == ["protocol", "variant", "arm", "id"]
    assert list(dict.fromkeys(found["variant"])) == NAMES and list(spec["variants"]) == sorted(NAMES)
    frame = cell.frame()
    for (protocol, _, _), rows in found.groupby(["protocol", "variant", "arm"]):
        assert rows["id"].tolist() == frame.loc[frame[f"split_{protocol}"] == "test", "id"].tolist()
    assert len(found.groupby(["protocol", "variant", "arm"])) == 2 * len(NAMES) * 2
    assert spec["chosen"]["corrected"] == CHOSEN


def test_original_is_the_test_job(ran):
    cell, found, _ = ran
    whole = opened(cell)
    for protocol in cell.spec["protocols"]:
        edit = (intervention(whole, protocol, "u_out", 1, 0.1),)
        base, laser = answers_for(whole, [(), edit], lambda count: None)
        for arm, answers in (("base", base), ("laser", laser)):
            expected = result_rows(whole, answers, protocol)
            own = found[(found["variant"] == "original") & (found["arm"] == arm) & (found["protocol"] == protocol)]
            pd.testing.assert_frame_equal(
                own.drop(columns=["variant", "arm"]).reset_index(drop=True), expected, check_dtype=False
            )


def test_a_wording_is_what_the_model_sees(ran):
    """The loss of one example under 'fact', from a plain run of the model on its words."""
    cell, found, _ = ran
    whole = opened(cell)
    fact = next(one for one in variants("worldfacts") if one.name == "fact")
    questions = questions_of(whole, fact)
    assert all(one.prompt.startswith("Fact: ") for one in questions.items)
    one = next(item for item in questions.items if len(item.passes) == 1)
    asked = questions.requests.passes[one.passes[0]]
    edit = (intervention(whole, "corrected", "u_out", 1, 0.1),)
    for arm, edits in (("base", ()), ("laser", edit)):
        with edited(whole.loaded, edits, whole.store), torch.no_grad():
            logits = whole.loaded.model(torch.tensor([asked.ids])).logits[0].log_softmax(-1)
        loss = -sum(float(logits[position, token]) for position, token in asked.queries) / len(asked.queries)
        rows = found[(found["variant"] == "fact") & (found["arm"] == arm) & (found["protocol"] == "corrected")]
        assert rows.set_index("id").loc[one.example.id, "loss"] == pytest.approx(loss, abs=1e-4)


def test_wordings_and_arms_differ(ran):
    _, found, _ = ran
    means = found.groupby(["variant", "arm"])["loss"].mean()
    assert means.nunique() == len(means)


def test_where_base_won_the_laser_arm_repeats_it(ran, tmp_path):
    cell, *_ = ran
    evaluate_prompts(cell.job(PromptsSpec, tmp_path / "base.parquet", {"rows": 4}, selection=cell.select(None)))
    found = read_parquet(tmp_path / "base.parquet")
    base, laser = (found[found["arm"] == arm].drop(columns="arm").reset_index(drop=True) for arm in ("base", "laser"))
    pd.testing.assert_frame_equal(base, laser)


def test_first_rows_with_whole_groups(ran, tmp_path):
    cell, everything, _ = ran
    evaluate_prompts(cell.job(PromptsSpec, tmp_path / "few.parquet", {"rows": 4}, selection=cell.select(CHOSEN)))
    found = read_parquet(tmp_path / "few.parquet")
    frame = cell.frame().set_index("id")
    test = frame[(frame["split_corrected"] == "test") | (frame["split_published"] == "test")]
    groups = set(test["group"].head(4))
    assert 0 < len(groups) < test["group"].nunique()
    for protocol in cell.spec["protocols"]:
        own = found[(found["protocol"] == protocol) & (found["variant"] == "colon") & (found["arm"] == "base")]
        expected = test[test["group"].isin(groups) & (test[f"split_{protocol}"] == "test")]
        assert own["id"].tolist() == expected.index.tolist()
    both = found.merge(everything, on=["protocol", "variant", "arm", "id"])
    assert len(both) == len(found) and (both["loss_x"] - both["loss_y"]).abs().max() < 1e-4


def test_first_groups_keeps_order():
    frame = pd.DataFrame({"group": ["b", "a", "b", "c", "a"], "id": list("12345")})
    assert first_groups(frame, 2)["id"].tolist() == ["1", "2", "3", "5"]
    assert first_groups(frame, 99)["id"].tolist() == list("12345")


def test_same_inputs_give_the_same_bytes(ran, tmp_path):
    cell, *_ = ran
    for name in ("one", "two"):
        evaluate_prompts(cell.job(PromptsSpec, tmp_path / name, {"rows": 5}, selection=cell.select(CHOSEN)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
