import numpy as np
import pandas as pd
import pytest

from laser.analysis.frequency import TOLD
from laser.claims import figure_rules as claim_pictures
from laser.claims import table_rules as claim_rules
from laser.claims.estimates import estimates
from laser.claims.findings import CONTRADICTED, SUPPORTED, UNDECIDED, Comparison, Effect
from laser.claims.judged import (
    CONTRADICTED_ALONE,
    NOT_JUDGED,
    NOT_RUN,
    NOT_SETTLED,
    NOT_SUPPORTED,
    SUPPORTED_ALONE,
    overall,
)
from tests.claims.made_up import CELL, SPREAD, gain, landscape, table1


def verdicts(found):
    return [one.verdict for one in found]


@pytest.mark.parametrize(
    ("metric", "difference", "p_value", "expected"),
    [
        ("accuracy", 3.0, 0.01, SUPPORTED),
        ("accuracy", -3.0, 0.01, CONTRADICTED),
        ("accuracy", 3.0, 0.05, UNDECIDED),
        ("loss", -0.3, 0.01, SUPPORTED),
        ("loss", 0.3, 0.01, CONTRADICTED),
        ("loss", -0.3, 0.2, UNDECIDED),
    ],
)
def test_gains_need_the_sign_and_the_test(metric, difference, p_value, expected):
    judge = claim_rules.accuracy if metric == "accuracy" else claim_rules.loss
    (found,) = judge({"table1": table1(difference, p_value, metric)})
    assert found.verdict == expected
    assert "n = 50" in found.evidence and "20.0" in found.evidence and found.where == "m on d, corrected"


def test_a_policy_is_judged_by_rooms_solved_and_by_return():
    frame = pd.concat([table1(3.0, 0.01), table1(-0.4, 0.01, "return"), table1(-0.1, 0.01, "loss")])
    found = claim_rules.policy({"table2": frame})
    assert verdicts(found) == [SUPPORTED, CONTRADICTED]
    assert "points" in found[0].evidence and "−0.40" in found[1].evidence


def test_printed_numbers_count_only_where_the_study_ran_them():
    row = {"model": "GPT-J", "dataset": "FEVER", "metric": "accuracy", "arm": "laser", "published": 56.2}
    row |= {"protocol": "published", "value": 56.0, "low": 55.0, "high": 57.0}
    words = {"replicated": SUPPORTED, "differs": CONTRADICTED, "undecided": UNDECIDED, "not run": None}
    for word, expected in words.items():
        frame = pd.DataFrame([row | {"verdict": word, "run_model": "gpt-j-6b"}])
        assert verdicts(claim_rules.numbers({"verdicts": frame})) == ([expected] if expected else [])
    frame = pd.DataFrame([row | {"verdict": "not run", "run_model": ""}])
    assert not list(claim_rules.numbers({"verdicts": frame}))


@pytest.mark.parametrize(
    ("layer", "rho", "expected"), [(9, 0.01, SUPPORTED), (1, 0.4, CONTRADICTED), (5, 0.1, UNDECIDED)]
)
def test_choices_are_judged_together_against_candidates_at_random(layer, rho, expected):
    rows, first = [], []
    for number in range(6):
        row = CELL | {"model": f"m{number}", "layer": layer, "rho": rho, "n": 9, "first_layer": 0, "last_layer": 10}
        rows.append(row | {"late_candidates": 0.5, "severe_candidates": 0.5})
        first.append(table1(5.0, 0.01, model=f"m{number}"))
    made = {"table3": pd.DataFrame(rows), "table1": pd.concat(first)}
    late, severe = list(claim_rules.late_layers(made)), claim_rules.severe(made)
    assert verdicts(late) == [CONTRADICTED if layer == 5 else expected]
    assert verdicts(severe) == [SUPPORTED if rho == 0.1 else expected]
    assert "6 models" in late[0].evidence or "of 6" in late[0].evidence
    # One model is never enough, and a model without a gain says nothing.
    alone = {name: frame[frame["model"] == "m0"] for name, frame in made.items()}
    assert verdicts(claim_rules.late_layers(alone)) == [UNDECIDED]
    for changes in ({"difference": 0.5}, {"p_holm": 0.2}):
        assert not list(claim_rules.late_layers(made | {"table1": made["table1"].assign(**changes)}))
    assert not list(claim_rules.published_choice(made))


def test_the_printed_choice_is_judged_where_it_was_scored():
    row = CELL | {"paper_matrix": "u_out", "paper_layer": 2, "paper_rho": 0.2, "test_n": 40}
    rows = [
        row | {"paper_gain": gain, "paper_gain_low": gain, "paper_gain_high": gain, "paper_gain_p": p}
        for gain, p in ((2.0, 0.01), (-2.0, 0.01), (2.0, 0.03), (0.5, 0.001), (np.nan, np.nan))
    ]
    found = claim_rules.published_choice({"table3": pd.DataFrame(rows)})
    # Adjusted over the printed choices, 0.03 alone would do and half a point matters too little.
    assert verdicts(found) == [SUPPORTED, CONTRADICTED, SUPPORTED, UNDECIDED]
    many = pd.DataFrame([rows[2]] * 3)
    assert set(verdicts(claim_rules.published_choice({"table3": many}))) == {UNDECIDED}
    assert "[u_out, 2, 0.2]" in found[0].evidence


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 1.0, 0.5, 0.1, -0.2], SUPPORTED),
        ([-0.2, 0.1, 0.5, 1.0, 3.0], CONTRADICTED),
        ([3.0, 1.0, 0.5, 0.1, 0.05], UNDECIDED),
        ([1e-9, 8e-10, 1e-10, -1e-10, -1e-9], UNDECIDED),
        ([3.0, 1.0, 0.1, -0.2], SUPPORTED),
        ([1.0, 3.0, 0.1, -0.2], UNDECIDED),  # of four layers one order alone has a p below 0.05
        # A loss that overflowed is left out.
        ([0.0, 3.0, 0.1, np.inf], UNDECIDED),
    ],
)
def test_where_reduction_hurts_and_helps(losses, expected):
    assert verdicts(claim_pictures.early_layers({"fig2": landscape(losses)})) == [expected]


def test_attention_is_compared_with_the_mlp_only_where_both_were_measured():
    mlp = landscape([3.0, -0.5])
    assert not list(claim_pictures.attention({"fig2": mlp}))
    for value, expected in ((0.1, SUPPORTED), (2.9, UNDECIDED), (3.5, UNDECIDED), (7.0, CONTRADICTED)):
        frame = pd.concat([mlp, landscape([value, -value], "q")])
        assert verdicts(claim_pictures.attention({"fig2": frame})) == [expected]
    frame = pd.concat([mlp, landscape([1.0, 0.0], "u_out"), landscape([2.0, 0.0], "q")])
    assert verdicts(claim_pictures.attention({"fig2": frame})) == [UNDECIDED]


def test_robustness_and_top_ten_take_the_right_rows():
    rows = [
        gain(5.0, 0.01, measure="facts right in all phrasings"),
        gain(-5.0, 0.01, measure="rows in phrasings held out"),
    ]
    made = {"paraphrase": pd.DataFrame(rows)}
    assert verdicts(claim_rules.paraphrase(made)) == [SUPPORTED]
    assert verdicts(claim_rules.held_out(made)) == [CONTRADICTED]
    # A gain that is surely too small to matter contradicts; one that is not known does not, nor one that is lost.
    for difference, width, expected in ((0.2, 0.5, CONTRADICTED), (0.2, 1.0, UNDECIDED), (-4.0, 1.0, CONTRADICTED)):
        bounds = {"difference_low": difference - width, "difference_high": difference + width}
        row = gain(difference, 0.4, measure="facts right in all phrasings", **bounds)
        assert verdicts(claim_rules.paraphrase({"paraphrase": pd.DataFrame([row])})) == [expected]
    first, whole = "first token of the answer", "whole answer as one token"
    rows = [
        gain(5.0, 0.01, split="test", k=10, measure=first),
        gain(-5.0, 0.01, split="test", k=5, measure=first),
        gain(-5.0, 0.01, split="test", k=10, measure=whole),
        gain(-5.0, 0.01, split="validation", k=10, measure=first),
    ]
    assert verdicts(claim_rules.top_ten({"topk": pd.DataFrame(rows)})) == [SUPPORTED]


@pytest.mark.parametrize(
    ("rare", "common", "expected"),
    [
        ((50, 40, 60), (20, 12, 28), SUPPORTED),
        ((20, 12, 28), (50, 40, 60), CONTRADICTED),
        ((50, 20, 80), (40, 10, 70), UNDECIDED),
        ((30, 29, 31), (26, 25, 27), UNDECIDED),  # surely larger, and by too little
        ((np.nan, np.nan, np.nan), (40, 10, 70), UNDECIDED),
    ],
)
def test_rare_facts_are_judged_by_the_share_of_wrong_answers_corrected(rare, common, expected):
    rows = []
    for lowest, share in ((100, common), (1, rare)):
        row = CELL | {"bin": f"from {lowest}", "lowest": lowest, "frequency_from": "documents", "n": 20}
        # The paper's ratio is always larger for rare facts: few were right before.
        for name, values in (("corrected_share", share), ("corrected_ratio", (100 / lowest,) * 3), ("net", (1, 0, 2))):
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
        rows.append(row)
    assert verdicts(claim_pictures.rare_facts({"fig3c": pd.DataFrame(rows)})) == [expected]
    assert not list(claim_pictures.rare_facts({"fig3c": pd.DataFrame(rows[:1])}))
    # Where it is known how often a fact is told at all, that decides, and not how often it is told rightly.
    rightly = [
        row | {"frequency_from": "corpus", "corrected_share_low": 0, "corrected_share_high": 100} for row in rows
    ]
    told = [row | {"frequency_from": TOLD} for row in rows]
    assert verdicts(claim_pictures.rare_facts({"fig3c": pd.DataFrame([*rightly, *told])})) == [expected]


def test_higher_order_components_are_judged_against_none_at_all():
    def fig5b(values):
        rows = [
            CELL
            | {"percent": percent, "accuracy": value, "accuracy_low": value - 5, "accuracy_high": value + 5, "n": 8}
            for percent, value in values.items()
        ]
        return {"fig5b": pd.DataFrame(rows)}

    whole = {100: 0.0, 10: 58.0}
    assert verdicts(claim_pictures.higher_order(fig5b(whole | {90: 10.0, 0: 58.0}))) == [SUPPORTED]
    assert verdicts(claim_pictures.higher_order(fig5b(whole | {90: 80.0, 0: 58.0}))) == [CONTRADICTED]
    assert verdicts(claim_pictures.higher_order(fig5b(whole | {90: 50.0, 0: 58.0}))) == [UNDECIDED]
    # 58 % with the smallest tenth says nothing by itself: without the control there is no verdict.
    assert verdicts(claim_pictures.higher_order(fig5b(whole | {90: 10.0}))) == [UNDECIDED]
    assert not list(claim_pictures.higher_order(fig5b({100: 90.0, 0: 5.0})))


def test_composition_is_judged_against_the_best_single_intervention():
    row = CELL | {"metric": "accuracy", "arm": "composed", "value": 30.0, "low": 28.0, "high": 32.0, "edits": 2, "n": 9}
    row |= {"over_laser": 3.0, "over_laser_low": 1.0, "over_laser_high": 5.0, "over_laser_p_holm": 0.01}
    frame = pd.DataFrame([row, row | {"arm": "laser"}, row | {"metric": "loss"}])
    assert verdicts(claim_rules.composition({"compose": frame})) == [SUPPORTED]


def test_the_bound_of_the_perplexity_is_the_papers_own():
    bound = claim_rules.largest_published_ratio()
    assert bound == pytest.approx(5.05 / 4.75)
    row = CELL | {"arm": "input", "text": "t", "perplexity": 9.0, "perplexity_low": 8.0, "perplexity_high": 9.5}
    row |= {"tokens": 1000, "ratio": 1.0}
    rows = [
        row | {"ratio_low": low, "ratio_high": high}
        for low, high in ((1.0, bound - 0.01), (bound + 0.01, 2.0), (1.0, 2.0))
    ]
    rows.append(row | {"arm": "base", "ratio_low": np.nan, "ratio_high": np.nan})
    found = claim_rules.perplexity({"perplexity": pd.DataFrame(rows)})
    assert verdicts(found) == [SUPPORTED, CONTRADICTED, UNDECIDED]


def test_effective_ranks_of_early_and_late_layers_are_compared():
    rows = [{"model": "m", "matrix": "u_in", "layer": layer, "effective_rank": 50.0 - 2 * layer} for layer in range(5)]
    frame = pd.DataFrame([*rows, {"model": "m", "matrix": "q", "layer": 0, "effective_rank": 1.0}])
    assert verdicts(claim_pictures.effective_rank({"fig7": frame})) == [SUPPORTED]
    assert verdicts(claim_pictures.effective_rank({"fig7": frame.assign(layer=4 - frame["layer"])})) == [CONTRADICTED]
    # A ten-thousandth of the rank is a trend that does not matter.
    small = frame.assign(effective_rank=50.0 - frame["layer"] / 1e4)
    assert verdicts(claim_pictures.effective_rank({"fig7": small})) == [UNDECIDED]


def test_pruning_is_compared_layer_by_layer():
    losses = [3.0, 1.0, 0.5, -0.2, -0.4]
    for other, expected in ((losses, SUPPORTED), (losses[::-1], CONTRADICTED), (losses[:3], UNDECIDED)):
        made = {"fig2": landscape(losses), "fig10": landscape(other, kind="pruning")}
        assert verdicts(claim_pictures.pruning(made)) == [expected]
    made["fig10"] = landscape(losses, kind="smallest")
    assert not list(claim_pictures.pruning(made))


def test_questions_beyond_the_paper():
    row = CELL | {"selected": True, "gain": 5.0, "share": 60.0, "resamples": 10, "n": 9, "gain_out_of_bag": 2.0}
    rows = [
        row | {"gain_out_of_bag_low": low, "gain_out_of_bag_high": high} for low, high in ((1, 3), (-3, -1), (-1, 3))
    ]
    frame = pd.DataFrame([*rows, rows[0] | {"selected": False}])
    assert verdicts(claim_rules.selection({"stability": frame})) == [SUPPORTED, CONTRADICTED, UNDECIDED]
    row = CELL | {"metric": "accuracy", "published": 5.0, "mean": 5.0, "sd": 0.1, "seeds": 5, "n": 9}
    cases = [({}, SUPPORTED), ({"mean": 6.0}, CONTRADICTED), ({"sd": 1.0}, UNDECIDED), ({"seeds": 1}, UNDECIDED)]
    for changes, expected in cases:
        frame = pd.DataFrame([row | {"published_within_two_sd": True} | changes])
        assert verdicts(claim_rules.seeds({"seeds": frame})) == [expected]
    frame = pd.DataFrame([row | {"published_within_two_sd": None}])
    assert not list(claim_rules.seeds({"seeds": frame}))
    for changes, expected in (([-1, 1], SUPPORTED), ([-10, 0], CONTRADICTED), ([-1, 1.9], UNDECIDED), ([], UNDECIDED)):
        rows = [gain(10.7, 0.001, gain_change=0.0, gain_change_low=0.0, gain_change_high=0.0, **SPREAD)]
        for change in changes:
            bounds = {"gain_change": change, "gain_change_low": change - 0.5, "gain_change_high": change + 0.5}
            rows.append(gain(10.7 + change, 0.2, **bounds, **SPREAD))
        frame = pd.DataFrame(rows)
        assert verdicts(claim_rules.prompts({"prompts": frame})) == [expected]
        assert verdicts(claim_rules.prompts({"prompts": frame.assign(matrix="")})) == [UNDECIDED]
        assert verdicts(claim_rules.prompts({"prompts": frame.assign(p_holm=0.2)})) == [UNDECIDED]
    row = CELL | {"gradient_matrix": "", "gradient_layer": None, "gradient_rho": np.nan, "saving": 9.0, "n": 9}
    row |= {"difference_high": 1.0}
    cases = ((-0.9, -0.5, 0.5), (-3.0, -2.0, 0.01), (-3.0, -2.0, 0.5), (-1.1, -0.5, 0.001))
    rows = [row | {"difference_low": low, "difference": value, "p_value": p} for low, value, p in cases]
    found = claim_rules.cheap_search({"search": pd.DataFrame(rows)})
    assert verdicts(found) == [SUPPORTED, CONTRADICTED, UNDECIDED, UNDECIDED]
    row = CELL | {"saved_of_matrix": 1.0, "saved_of_model": 1.0, "kept_rank": 3, "break_even_rank": 9.0}
    rows = [
        row | {"parameters_saved": 10},
        row | {"parameters_saved": -10},
        row | {"matrix": "", "parameters_saved": None},
    ]
    assert verdicts(claim_rules.saving({"size": pd.DataFrame(rows)})) == [SUPPORTED, CONTRADICTED, UNDECIDED]


def test_noise_needs_three_levels_and_a_significant_trend():
    rows = [
        {"dataset": "d", "protocol": "p", "row": "model", "family": "gptj", "layers": 4, "noise": noise, "gain": value}
        | {"corpus_seed": value % 3, "gain_low": value - 0.5, "gain_high": value + 0.5, "n": 900}
        for noise, value in zip(np.repeat([0, 0.25, 0.5, 0.75], 3), range(12), strict=True)
    ]
    frame = pd.DataFrame([*rows, rows[0] | {"row": "mean"}])
    (found,) = claim_pictures.noise({"noise": frame})
    assert found.verdict == SUPPORTED and "12 models, 4 noise levels" in found.evidence
    assert verdicts(claim_pictures.noise({"noise": frame.assign(gain=-frame["gain"])})) == [CONTRADICTED]
    assert not list(claim_pictures.noise({"noise": frame[frame["noise"] < 0.5]}))
    # A gain that falls again at the noisiest level does not grow with noise.
    peak = frame.assign(gain=frame["gain"].where(frame["noise"] < 0.75, frame["gain"] - 5))
    assert verdicts(claim_pictures.noise({"noise": peak})) == [UNDECIDED]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([(-0.5, 0.6), (-0.9, 0.9)], SUPPORTED),
        ([(-0.5, 0.6), (-0.2, 1.1)], UNDECIDED),
        ([(-0.5, 0.6), (1.1, 2.0)], CONTRADICTED),
        ([(-0.5, 0.6), (-3.0, -1.2)], CONTRADICTED),
        ([(-0.1, 0.1)], SUPPORTED),
    ],
)
def test_without_noise_every_model_must_be_left_as_it_is(bounds, expected):
    row = {"dataset": "d", "protocol": "p", "row": "model", "family": "gptj", "layers": 4, "noise": 0.0, "n": 900}
    rows = [row | {"gain": (low + high) / 2, "gain_low": low, "gain_high": high} for low, high in bounds]
    others = [rows[0] | {"row": "mean", "gain_high": 9.0}, rows[0] | {"noise": 0.5, "gain_low": 5.0, "gain_high": 9.0}]
    (found,) = claim_pictures.no_noise({"noise": pd.DataFrame([*rows, *others])})
    assert found.verdict == expected and f"gains of {len(bounds)} models" in found.evidence
    assert not list(claim_pictures.no_noise({"noise": pd.DataFrame(others)}))


def judged(*words):
    return [Comparison(f"m{number} on d, corrected", "e", word) for number, word in enumerate(words)]


def test_a_model_counts_once_however_many_comparisons_it_has():
    many = [Comparison("m on d, corrected", "e", SUPPORTED)] * 9
    others = [Comparison(f"{name} on d, corrected", "e", CONTRADICTED) for name in ("n", "o")]
    assert overall([*many, *others]) == CONTRADICTED
    assert overall([*many, *others[:1]]) == NOT_SETTLED
    split = [Comparison(f"m on {name}, corrected", "e", word) for name, word in (("d", SUPPORTED), ("f", CONTRADICTED))]
    assert overall(split) == NOT_SETTLED


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, NOT_RUN),
        ([], NOT_JUDGED),
        (judged(SUPPORTED, SUPPORTED, CONTRADICTED), SUPPORTED),
        (judged(SUPPORTED, CONTRADICTED), NOT_SETTLED),
        (judged(CONTRADICTED, CONTRADICTED, SUPPORTED), CONTRADICTED),
        (judged(UNDECIDED, UNDECIDED, SUPPORTED), NOT_SETTLED),
        (judged(UNDECIDED, CONTRADICTED), NOT_SUPPORTED),
    ],
)
def test_a_studys_verdict_follows_from_its_comparisons(found, expected):
    assert overall(found) == expected


def measured(effects, verdict=UNDECIDED, **rule):
    """Return a comparison for every (cell, value), whose intervals are a point wide on each side."""
    rule = {"unit": "points", "least": 1.0} | rule
    return [Comparison(where, "e", verdict, Effect(value, value - 1, value + 1, **rule)) for where, value in effects]


def on(*values, dataset="d"):
    return [(f"m{number} on {dataset}, corrected", value) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        ((5.0, 6.0, 5.5, 6.5), {}, SUPPORTED),
        ((-5.0, -6.0, -5.5, -6.5), {}, CONTRADICTED),
        ((-5.0, -6.0, -5.5, -6.5), {"rises": False}, SUPPORTED),
        ((5.0, 6.0, 5.5, 6.5), {"rises": False}, CONTRADICTED),
        ((12.0, 0.5, 1.0, -0.5), {}, NOT_SUPPORTED),  # one model alone does not make a mean
        ((0.8, 0.8, 0.8, 0.8), {}, NOT_SUPPORTED),
        ((5.0, 6.0, 5.5, 6.5), {"supports": 5.0}, NOT_SUPPORTED),
        ((0.3, -0.3, 0.1, -0.1), {"supports": -2.0, "contradicts": -2.0, "least": 0.0}, SUPPORTED),
        ((0.1, -0.1, 0.0, -0.2), {"contradicts": 1.5}, CONTRADICTED),  # no gain that matters
        ((5.0, 6.0, np.nan, 6.5, 5.5), {}, SUPPORTED),
        ((np.nan, np.nan), {}, NOT_SUPPORTED),
    ],
)
def test_models_are_averaged_where_an_effect_was_measured(values, rule, expected):
    assert overall(measured(on(*values), **rule)) == expected


def test_what_no_mean_settles_is_told_from_what_no_comparison_supports():
    comparisons = measured(on(12.0, -12.0), SUPPORTED)
    assert overall(comparisons) == NOT_SETTLED
    # Rooms solved rise in all models, and so does the loss: no single answer.
    both = measured(on(5.0, 6.0, 5.5)) + measured(on(5.0, 6.0, 5.5), unit="nats", rises=False)
    assert overall(both) == NOT_SUPPORTED and [str(one)[-6:] for one in estimates(both, {})] == ["points", "] nats"]


def test_models_of_one_corpus_count_as_one_and_a_lone_source_is_called_one():
    values = on(5.0, 6.0, 5.5, 6.5)
    corpora = {f"m{number}": "a corpus" for number in range(4)}
    assert overall(measured(values), corpora) == SUPPORTED_ALONE
    assert overall(measured(values[:1])) == SUPPORTED_ALONE
    assert overall(measured(on(-6.0))) == CONTRADICTED_ALONE
    (mean,) = estimates(measured([*values, ("other on d, corrected", 10.75)]), corpora)
    assert (mean.sources, mean.models, mean.mean.value) == (2, 5, pytest.approx((5.75 + 10.75) / 2))
    # Another dataset, or protocol, of a model does not make its weight larger.
    (again,) = estimates(measured([*values, *[("other on d, published", 10.75)] * 3]), corpora)
    assert again.mean == mean.mean


def test_a_lone_source_is_averaged_over_its_datasets():
    datasets = [part for name, value in (("a", 5.0), ("b", 6.0), ("c", 5.5)) for part in on(value, dataset=name)]
    (estimate,) = estimates(measured(datasets), {})
    assert (estimate.sources, estimate.datasets) == (1, 3) and "sources" not in estimate.heterogeneity
    assert overall(measured(datasets)) == SUPPORTED_ALONE
    assert overall(measured([*datasets, *on(-15.0, dataset="d")])) == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("difference", "low", "high", "expected"),
    [(5.0, 2.0, 8.0, SUPPORTED), (5.0, -1.0, 11.0, UNDECIDED), (0.5, 0.1, 0.9, CONTRADICTED), (-5.0, -8.0, -2.0, None)],
)
def test_consistency_is_that_of_facts_known_in_some_phrasing(difference, low, high, expected):
    bounds = {"difference_low": low, "difference_high": high}
    measures = ("of facts right in any phrasing, those right in all", "facts right in all phrasings")
    rows = [gain(difference, np.nan, measure=measure, **bounds) for measure in measures]
    assert verdicts(claim_rules.consistency({"paraphrase": pd.DataFrame(rows)})) == [expected or CONTRADICTED]
    # No fact was right in any phrasing.
    none = pd.DataFrame([gain(np.nan, np.nan, measure=measures[0])])
    assert not list(claim_rules.consistency({"paraphrase": none}))


def beside(**differences):
    """Return the table of baselines: differences of LASER to each, with an interval of a point on each side and p."""
    rows = []
    for metric in ("accuracy", "loss"):
        for name, (value, chance) in differences.items():
            row = CELL | {"metric": metric, "baseline": name, "says": name, "value": 20.0, "laser": 20.0 + value}
            row |= {"difference": value, "difference_low": value - 1, "difference_high": value + 1}
            rows.append(row | {"p_holm": chance, "n": 600, "kept_rank": 3})
    return {"baselines": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("zeroed", "scaled", "expected"),
    [
        ((5.0, 0.001), (3.0, 0.001), SUPPORTED),
        ((5.0, 0.001), (3.0, 0.2), UNDECIDED),  # more than deletion, and not surely more than scaling
        ((0.0, 1.0), (3.0, 0.001), UNDECIDED),
        ((-0.5, 0.5), (3.0, 0.001), CONTRADICTED),  # as good as deletion, within the margin
        ((5.0, 0.001), (-3.0, 0.001), CONTRADICTED),
        ((5.0, 0.001), (np.nan, np.nan), SUPPORTED),  # what was not compared says nothing
    ],
)
def test_an_intervention_has_to_do_more_than_every_simpler_edit(zeroed, scaled, expected):
    made = beside(base=(9.0, np.nan), zeroed_matrix=zeroed, scaled_matrix=scaled, forbidden_words=(-20.0, 0.001))
    (found,) = claim_rules.baselines(made)
    assert found.verdict == expected and "forbidden" not in found.evidence and "base" not in found.evidence


def test_the_simpler_edits_are_among_the_baselines():
    from laser.evaluation.baselines import SAYS

    assert set(claim_rules.SIMPLER) <= set(SAYS)
