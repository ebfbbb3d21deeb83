"""The first screen in words and as a picture: findings, sentences over all pairs, cautions."""

import pandas as pd
import pytest

from laser.report.dumbbells import picture
from laser.report.summary import Pair, general_cautions, in_one_sentence, summarise


def row(arm, **changes):
    given = {"model": "m", "dataset": "d", "protocol": "corrected", "metric": "accuracy", "arm": arm, "value": 50.0}
    given |= {"n": 100, "p_holm": 0.5, "difference": 0.0, "difference_low": -1.0, "difference_high": 1.0, "rho": 0.1}
    given |= {
        "matrix": "u_in",
        "layer": 3,
        "constant": 20.0,
        "answer_in_prompt": 0.0,
        "prediction_shares": '{"yes": 0.9}',
    }
    return given | changes


def test_weights_quantised_before_are_a_caution_of_their_model():
    rows = [row("base"), row("laser"), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    frame = pd.DataFrame(rows)
    quantised = {"m": "4 bits (Q4_1)", "elsewhere": "8 bits"}
    (caution,) = general_cautions(frame, quantised, {})
    assert caution.startswith("m: its weights were quantised to 4 bits (Q4_1) before")
    assert general_cautions(frame, {}, {"elsewhere": "half"}) == []
    (caution,) = general_cautions(frame, {}, {"d": "half of them"})
    assert caution == "d: only a part of the paper's rows was read: half of them."
    (caution,) = general_cautions(frame, {}, {}, by_gradients=True)
    assert caution.endswith("these candidates alone.")


def selection(kept_rank, **changes):
    chosen = {"matrix": "u_in", "layer": 3, "rho": 0.005, "kept_rank": kept_rank} | changes
    return {"model": "m", "dataset": "d", "protocols": {"corrected": {"chosen": chosen}}}


@pytest.mark.parametrize("kept_rank, said", [(0, True), (1, False), (None, False)])
def test_rank_0_is_said_to_remove_the_matrix(kept_rank, said):
    rows = [row("base"), row("laser"), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows), [selection(kept_rank)])
    words = "m on d: rank 0 was chosen (ρ = 0.005): the whole matrix u_in of layer 3 is removed, not approximated."
    assert (words in summary.cautions) == said
    (kept,) = summarise(pd.DataFrame(rows), [{**selection(0), "protocols": {"corrected": {"chosen": None}}}])
    assert kept.cautions == []


@pytest.mark.parametrize(
    "change, headline, finding",
    [
        ({"p_holm": 0.01, "difference": 7.0}, "LASER raised held-out accuracy significantly", "accuracy rose from"),
        ({"p_holm": 0.01, "difference": -7.0}, "LASER lowered held-out accuracy significantly", "accuracy fell from"),
        ({"p_holm": 0.06, "difference": 7.0}, "LASER made no significant difference", "did not change significantly"),
        ({"matrix": ""}, "LASER was not chosen", "selection kept the base model"),
    ],
)
def test_every_outcome_has_its_sentence(change, headline, finding):
    change = {"value": 50.0 + change.get("difference", 0.0)} | change
    rows = [row("base"), row("laser", **change), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    sentence = in_one_sentence([summary])
    assert headline in sentence and sentence.endswith(" for m on d.")
    assert finding in summary.findings[0]
    assert summary.cautions == []


def pairs(*changes):
    """Return Table 1 of one dataset with a model per mapping of changes to LASER's accuracy."""
    rows = []
    for index, change in enumerate(changes):
        each = [row("base"), row("laser", **change), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
        rows += [one | {"model": f"m{index}", "protocol": change.get("protocol", "corrected")} for one in each]
    return pd.DataFrame(rows)


UP, DOWN, SAME, KEPT = ({"p_holm": 0.01, "difference": 7.0}, {"p_holm": 0.01, "difference": -7.0}, {}, {"matrix": ""})


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ([UP, UP], "LASER raised held-out accuracy significantly in all 2 pairs of model and dataset."),
        (
            [UP, DOWN],
            "LASER raised held-out accuracy significantly in 1 of 2 pairs of model and dataset and lowered it",
        ),
        (
            [SAME, KEPT],
            "no significant difference to held-out accuracy in 1 of 2 pairs of model and dataset and was not",
        ),
        ([KEPT, KEPT], "LASER was not chosen (no intervention beat the base model on validation rows) in all 2 pairs"),
    ],
)
def test_counts_over_pairs_make_one_sentence(changes, sentence):
    assert sentence in in_one_sentence(summarise(pairs(*changes)))


def test_two_protocols_share_one_sentence():
    frame = pairs(UP, SAME, {"protocol": "published"} | DOWN)
    text = in_one_sentence(summarise(frame))
    assert text.startswith("Under the corrected protocol, LASER raised") and text.count(".") == 1
    assert "; under the published protocol, LASER lowered held-out accuracy significantly for m2 on d." in text


@pytest.mark.parametrize(
    "before, after, sentence",
    [
        (10.8342, 10.8291, " The loss fell from 10.834 to 10.829 nats, not significantly."),
        (10.84, 10.83, " The loss fell from 10.84 to 10.83 nats, not significantly."),
        (2.0, 2.0000004, " The loss stayed at 2.00 nats."),
        (2.0, 2.00002, " The loss rose from 2.00000 to 2.00002 nats, not significantly."),
        (float("nan"), float("nan"), ""),
    ],
)
def test_a_difference_is_never_rounded_away(before, after, sentence):
    loss = row("laser", metric="loss", value=after, difference=after - before)
    rows = [row("base"), row("laser", value=50.04, difference=0.04), row("base", metric="loss"), loss]
    (summary,) = summarise(pd.DataFrame(rows))
    assert summary.findings[0].endswith(f"with [u_in, 3, 0.1].{sentence}")
    assert "from 50.00 % to 50.04 % (+0.04 points," in summary.findings[0]


def test_one_is_singular():
    laser = row("laser", n=1, value=51.0, difference=1.0, p_holm=0.01)
    rows = [row("base", n=1), laser, row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    assert "(+1.0 point, " in summary.findings[0] and ", 1 test row)" in summary.findings[0]


def test_cautions_name_constant_answers_and_answers_in_prompts():
    rows = [row("base", constant=49.6, answer_in_prompt=12.0), row("laser", value=60.0, constant=49.6)]
    rows += [row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    assert len(summary.cautions) == 2
    words = "m on d: base (50.0 %; predicts 'yes' in 90 % of rows) scores at most 0.5 points more than one constant"
    assert summary.cautions[0] == f"{words} answer (49.6 %)."
    assert "12.0 % of the prompts" in summary.cautions[1]


def test_published_values_stand_in_the_picture_only_where_one_was_compared():
    def drawn(**given):
        rows = [row("base", low=40.0, high=60.0), row("laser", low=40.0, high=60.0, published=70.0, **given)]
        return picture([Pair(*rows, row("laser", metric="loss"))])

    compared = drawn(verdict="differs")
    assert compared.published and compared.rows[0].laser.published > compared.rows[0].laser.high
    for verdict in ("not run", "part of the paper's rows", ""):
        assert not drawn(verdict=verdict).published
    labels = [label for _, label in compared.ticks]
    assert labels == ["20", "40", "60", "80"]
    assert all(0 <= position <= 100 for position, _ in compared.ticks)
