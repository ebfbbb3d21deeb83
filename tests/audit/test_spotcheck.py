"""Random rows of a finished study, evaluated again from the checkpoint."""

import shutil

import pytest

from laser.errors import UserError
from laser.evaluation import spotcheck
from tests.audit.edits import frame, put, spec
from tests.audit.manipulations import TEST

ROW = {"correct": False, "prediction": "x", "answer_tokens": 2, "loss": 1.0, "logprob": -2.0}
ROW |= {"answer_rank": 100, "in_top5": False, "in_top10": False}


def check(folder, cache, seed=3, count=6):
    said: list[str] = []
    return spotcheck.spot_check(folder, count, seed, cache, "cpu", said.append), said


@pytest.fixture
def cache(finished):
    return finished.parents[1] / "cache"


def test_an_untouched_study_agrees_with_its_checkpoint(study, cache):
    wrong, said = check(study, cache, count=12)
    assert wrong == []
    assert any("have the study's hashes" in line for line in said)
    assert sum(line.startswith("same") for line in said) == 12


def test_rows_of_every_run_are_drawn(finished):
    picks = spotcheck.draw(finished, 40, 1)
    kinds = [pick.folder for pick in picks]
    assert kinds.count("test") == 20 and {"sweep", "seeds", "compose", "prompts"} < set(kinds)
    assert len({(pick.path, pick.number) for pick in picks}) == 40


def test_baselines_that_are_another_matrix_are_evaluated_again(study, cache, monkeypatch):
    monkeypatch.setattr(spotcheck, "OTHERS", ("baselines",))
    wrong, said = check(study, cache, count=30)
    assert wrong == []
    drawn = [line for line in said if line.startswith("same    baselines/")]
    assert len(drawn) == 15 and any("random_subspace" in line for line in drawn)
    assert not any(name in line for line in drawn for name in spotcheck.NOT_EDITS)


def test_half_of_the_test_rows_are_such_that_base_and_laser_disagree(study):
    for path in (study / "test").rglob("*.parquet"):
        frame(path.relative_to(study).as_posix(), lambda rows: rows.assign(correct=False))(study)
    frame(TEST, lambda rows: rows.assign(correct=(rows["arm"] == "laser") & (rows["id"].isin(rows["id"].iloc[:6]))))(
        study
    )
    picks = [pick for pick in spotcheck.draw(study, 8, 2) if pick.folder == "test"]
    held = spotcheck.read_parquet(study / TEST)
    apart = set(held.loc[held["correct"], "id"])
    assert sum(pick.path == study / TEST and pick.row["id"] in apart for pick in picks) >= 2
    assert len(spotcheck.draw(study, 100_000, 2)) == len(
        set((p.path, p.number) for p in spotcheck.draw(study, 100_000, 3))
    )


def test_a_row_that_was_left_out_without_reason_is_named(study, cache):
    def leave_out(held):
        held["run"]["left_out"]["capital-US-0"] = "600 tokens, the model takes 512"

    for path in (study / "test").rglob("*.parquet"):
        spec(path.relative_to(study).as_posix(), leave_out)(study)
    wrong, _ = check(study, cache)
    assert any("leaves out 1 rows that the model can be asked, ['capital-US-0']" in line for line in wrong)


def test_an_invented_answer_is_named(study, cache):
    frame(TEST, lambda rows: rows.assign(prediction="invented", logprob=rows["logprob"] + 0.3))(study)
    wrong, _ = check(study, cache)
    assert any(TEST in line and "prediction was 'invented'" in line for line in wrong)
    assert any("logprob was" in line for line in wrong)


def test_another_checkpoint_is_refused(study, cache, tmp_path):
    shutil.copytree(cache / "models", tmp_path / "cache/models")
    (weights,) = (tmp_path / "cache/models").glob("*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match=r"model\.safetensors: is not the file that the study used"):
        check(study, tmp_path / "cache")


def test_a_checkpoint_that_is_not_there_is_one_message(study, tmp_path):
    with pytest.raises(UserError, match="checkpoint of gpt-j-6b is not here"):
        check(study, tmp_path)


def test_a_row_with_an_id_of_another_side_is_refused(study, cache):
    frame(TEST, put("id", "capital-BD-0"))(study)
    frame(TEST, lambda rows: rows.iloc[:1])(study)
    (study / "test/gpt-j-6b/counterfact.parquet").unlink()
    with pytest.raises(UserError):
        check(study, cache)


def test_the_draw_follows_its_seed(finished):
    first, again, other = (
        [(pick.path, pick.number) for pick in spotcheck.draw(finished, 10, seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {one.side for one in spotcheck.draw(finished, 10, 1)} == {"test", "validation"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"correct": True}, ["correct"]),
        ({"prediction": "y"}, ["prediction"]),
        ({"loss": 1.00005, "logprob": -2.0001}, []),
        ({"loss": 1.0002}, ["loss"]),
        ({"logprob": -2.0003}, ["logprob"]),
        ({"loss": float("nan")}, ["loss"]),
        ({"answer_rank": 102}, []),
        ({"answer_rank": 103}, ["answer_rank"]),
        ({"answer_rank": 1}, ["answer_rank"]),
        ({"answer_rank": None}, ["answer_rank"]),
        ({"in_top10": True}, ["in_top10"]),
        ({"in_top5": True, "in_top10": True}, ["in_top5", "in_top10"]),
        ({"steps": 3}, ["steps"]),
    ],
)
def test_what_counts_as_different(changed, expected):
    found = spotcheck.compare(ROW, ROW | changed, "fp32")
    assert [line.split()[0] for line in found] == expected


def test_losses_that_overflow_twice_are_the_same():
    row = ROW | {"loss": float("nan"), "logprob": float("-inf"), "answer_rank": None}
    assert spotcheck.compare(row, row, "fp32") == []
