"""Log-probabilities of false targets, against plain runs of transformers."""

import math

import pandas as pd
import pytest
import torch

from laser.engine.live_edits import edited
from laser.errors import UserError
from laser.evaluation.cell import chosen_edit
from laser.io.files import read_parquet, read_spec, write_json, write_parquet
from tests.evaluation.tiny_cell import FAMILIES, TinyCell, by_family

CHOSEN = {"matrix": "u_out", "layer": 1, "rho": 0.1, "kept_rank": 3}
FALSE = ("Rome", "Thai", " peso", "South America")


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, TinyCell)


def ran(cell, chosen=CHOSEN, skip=(), answers=FALSE, name="efficacy.parquet"):
    data = read_parquet(cell.data)
    rows = [(row, answers[place % len(answers)]) for place, row in enumerate(data["id"]) if row not in skip]
    write_parquet(cell.folder / "false.parquet", pd.DataFrame(rows, columns=["id", "answer"]), {})
    protocols = {name: {"chosen": chosen} for name in cell.spec["protocols"]}
    write_json(cell.folder / "selection.json", {"protocols": protocols})
    given = {"false_targets": cell.folder / "false.parquet", "selection": cell.folder / "selection.json"}
    return cell.run("evaluate_efficacy", {}, name, **given), dict(rows)


def plain(loaded, prompt, answer):
    """Return the summed log-probability of an answer after a prompt, from the model alone."""
    tokens = loaded.tokenizer
    whole = f"{prompt} {answer.strip()}"
    if loaded.task == "masked":
        answer = tokens(f" {answer.strip()}", add_special_tokens=False)["input_ids"]
        before, behind = tokens(f"{prompt} ")["input_ids"][:-1], tokens(".", add_special_tokens=False)["input_ids"]
        ids = [*before, *[tokens.mask_token_id] * len(answer), *behind, tokens.eos_token_id]
        at = range(len(before), len(before) + len(answer))
    else:
        ids, text = tokens(whole)["input_ids"], answer.strip()
        # The released rule: the shortest end of the tokens that reads as the answer.
        count = next(count for count in range(1, len(ids)) if tokens.decode(ids[-count:]).strip() == text)
        answer, at = ids[-count:], range(len(ids) - count - 1, len(ids) - 1)
    with torch.no_grad():
        scores = loaded.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(scores[place, token]) for place, token in zip(at, answer, strict=True)), len(answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_arms_are_those_of_the_plain_model(cell_of, family):
    cell = cell_of(family)
    path, false = ran(cell)
    frame, data = read_parquet(path), read_parquet(cell.data).set_index("id")
    assert list(frame) == ["protocol", "arm", "id", "logprob", "answer_tokens"]
    opened = cell.open("test")
    for (protocol, arm), rows in frame.groupby(["protocol", "arm"]):
        assert list(rows["id"]) == list(data.index[data[f"split_{protocol}"] == "test"])
        edit = chosen_edit(opened, protocol, CHOSEN) if arm == "laser" else ()
        with edited(opened.loaded, edit, opened.store):
            for row in rows.head(8).to_dict("records"):
                prompt = data.loc[row["id"], "text" if family == "roberta" else "prompt"]
                logprob, tokens = plain(opened.loaded, prompt, false[row["id"]])
                assert (row["logprob"], row["answer_tokens"]) == (pytest.approx(logprob, abs=1e-4), tokens)
    assert read_spec(path)["chosen"]["corrected"] == CHOSEN


def test_rows_without_a_false_target_are_not_asked(cell_of):
    cell = cell_of("llama")
    data = read_parquet(cell.data)
    skipped = list(data["id"][::3])
    frame = read_parquet(ran(cell, skip=skipped)[0])
    assert not set(frame["id"]) & set(skipped) and frame["id"].nunique() == len(data) - len(skipped) - sum(
        (data.loc[~data["id"].isin(skipped), ["split_published", "split_corrected"]] == "validation").all(axis=1)
    )


def test_where_base_was_chosen_the_laser_arm_repeats_it(cell_of):
    frame = read_parquet(ran(cell_of("llama"), chosen=None)[0])
    base, laser = (frame[frame["arm"] == arm].drop(columns="arm").reset_index(drop=True) for arm in ("base", "laser"))
    pd.testing.assert_frame_equal(base, laser)


def test_a_false_target_that_is_too_long_is_left_out_and_said(cell_of):
    cell = cell_of("llama")
    path, false = ran(cell, answers=("Rome", "Rome " * 120))
    long = {name for name, answer in false.items() if len(answer) > 9}
    assert not set(read_parquet(path)["id"]) & long
    assert set(read_spec(path)["run"]["left_out"]) <= long
    with pytest.raises((UserError, SystemExit)):
        ran(cell, answers=("Rome " * 120,))


def test_options_of_the_rows(tmp_path):
    cell = TinyCell(tmp_path, "gptj", "fever")
    data = read_parquet(cell.data)
    false = {row["id"]: next(o for o in row["options"] if o != row["answer"]) for row in data.to_dict("records")}
    write_parquet(tmp_path / "false.parquet", pd.DataFrame(false.items(), columns=["id", "answer"]), {})
    write_json(tmp_path / "selection.json", {"protocols": {name: {"chosen": None} for name in cell.spec["protocols"]}})
    given = {"false_targets": tmp_path / "false.parquet", "selection": tmp_path / "selection.json"}
    frame = read_parquet(cell.run("evaluate_efficacy", {}, "out.parquet", **given))
    opened = cell.open("test")
    for row in frame.head(6).to_dict("records"):
        prompt = data.set_index("id").loc[row["id"], "prompt"]
        logprob, tokens = plain(opened.loaded, prompt, false[row["id"]])
        assert (row["logprob"], row["answer_tokens"]) == (pytest.approx(logprob, abs=1e-4), tokens)


def test_an_overflow_has_no_log_probability(cell_of, monkeypatch):
    from laser.evaluation import efficacy

    monkeypatch.setattr(efficacy, "is_finite", lambda question, answers: False)
    frame = read_parquet(ran(cell_of("llama"))[0])
    assert frame["logprob"].map(math.isnan).all()
