import math

import pandas as pd
import pytest

from laser.analysis import verdicts
from laser.analysis.verdicts import VERDICT_RULES, verdict
from laser.artefacts.verdicts import verdict_table
from laser.paper.published import Published, printed, read_published

NAN = math.nan


def judge(**changes):
    given = {
        "metric": "accuracy",
        "arm": "laser",
        "published": printed("65.9"),
        "published_base": printed("51.8"),
        "published_n": 16257,
        "complete": True,
        "base_chosen": False,
        "low": 65.0,
        "high": 66.5,
        "difference": 13.7,
        "p_holm": 0.001,
        "constants": [2.0],
    }
    return verdict(**(given | changes))


def test_every_verdict_can_be_reached_and_has_a_rule():
    found = {
        judge(complete=False),
        judge(part=True),
        judge(base_chosen=True),
        judge(constants=[65.5]),
        judge(published=printed("52.0")),
        judge(),
        judge(high=65.5),
    }
    assert found == set(VERDICT_RULES)


def test_the_first_rule_that_applies_decides():
    order = list(VERDICT_RULES)
    everything = {
        "part": True,
        "complete": False,
        "base_chosen": True,
        "constants": [65.9],
        "published": printed("52.0"),
    }
    assert judge(**everything) == order[0]
    assert judge(**(everything | {"part": False})) == order[1]
    assert judge(**(everything | {"part": False, "complete": True})) == order[2]


def test_a_gain_needs_the_published_sign_and_significance():
    assert judge() == verdicts.REPLICATED
    assert judge(difference=-13.7) == verdicts.DIFFERS
    assert judge(p_holm=0.051) == verdicts.DIFFERS


def test_a_lower_loss_is_a_gain_of_negative_sign():
    loss = {"metric": "loss", "published": printed("2.86"), "published_base": printed("3.52"), "low": 2.8, "high": 2.9}
    assert judge(**loss, difference=-0.6) == verdicts.REPLICATED
    assert judge(**loss, difference=0.6) == verdicts.DIFFERS


def test_rounding_of_the_printed_value_is_allowed_for():
    base = {"arm": "base", "published": printed("51.8"), "difference": NAN, "p_holm": NAN, "high": 53.0}
    assert judge(**base, low=51.849) == verdicts.REPLICATED
    assert judge(**base, low=51.851) == verdicts.DIFFERS
    assert printed("2.5").half_unit == pytest.approx(0.05)
    assert printed("2.50").half_unit == pytest.approx(0.005)
    assert printed("53").half_unit == pytest.approx(0.5)


def test_any_constant_answer_counts_and_only_for_accuracy():
    base = {"arm": "base", "published": printed("37.1"), "difference": NAN, "p_holm": NAN, "low": 36.0, "high": 38.0}
    assert judge(**base, constants=[62.95, 37.05]) == verdicts.CONSTANT
    assert judge(**base, constants=[62.95]) == verdicts.REPLICATED
    assert judge(**base, constants=[37.1], metric="loss") == verdicts.REPLICATED


def test_no_published_cell_no_verdict():
    assert judge(published=None) == ""
    assert judge(published=None, base_chosen=True) == verdicts.BASE_CHOSEN
    assert judge(published=None, base_chosen=True, arm="base") == ""


def test_the_papers_own_gains_that_its_n_cannot_tell_from_none():
    published = read_published()
    unclear = set()
    for (model, dataset, metric, arm), number in published.table1.items():
        if metric == "accuracy" and arm == "laser":
            base = published.table1[model, dataset, metric, "base"]
            n = published.table4[dataset]["test"]
            given = {"published": number, "published_base": base, "published_n": n, "constants": []}
            if judge(**given) == verdicts.NOT_SIGNIFICANT:
                unclear.add((model, dataset))
    assert ("GPT-J", "BigBench-Epistemic Reasoning") in unclear  # 37.1 to 38.3 on 1600 rows: z = 0.70
    assert ("RoBERTa", "TruthfulQA") in unclear  # no difference at all
    assert ("GPT-J", "CounterFact") not in unclear
    assert ("Llama2-7B", "FEVER") not in unclear


def test_every_published_number_stands_in_the_table_once_when_nothing_was_run():
    published = read_published()
    empty = pd.DataFrame(columns=["model", "dataset", "metric", "arm", "protocol", "value", "low", "high", "verdict"])
    table = verdict_table(empty, published)
    assert len(table) == len(published.table1) == 96
    assert set(table["verdict"]) == {verdicts.NOT_RUN}


def test_our_names_are_matched_to_the_papers():
    row = {"model": "mine", "dataset": "facts", "metric": "loss", "arm": "base", "protocol": "corrected"}
    frame = pd.DataFrame([row | {"value": 1.0, "low": 0.9, "high": 1.1, "verdict": "replicated"}])
    published = Published(
        models={"mine": "Theirs"},
        datasets={"facts": "Facts"},
        table1={("Theirs", "Facts", "loss", "base"): printed("1.0")},
    )
    (line,) = verdict_table(frame, published).to_dict("records")
    assert (line["model"], line["dataset"], line["run_model"], line["verdict"]) == (
        "Theirs",
        "Facts",
        "mine",
        "replicated",
    )
