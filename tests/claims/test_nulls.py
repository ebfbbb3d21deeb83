"""What chance alone does to each rule: simulated data without an effect is supported at most 5 % of the time."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.models import study
from laser.analysis import intervals
from laser.claims import figure_rules, nulls, table_rules
from laser.claims.findings import CONTRADICTED, SUPPORTED
from laser.claims.judged import SUPPORTED_ALONE, overall
from laser.config.rules import rules
from tests.claims.made_up import CELL, SPREAD, gain, landscape_rows

SAMPLES = 300
ALLOWED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / SAMPLES)
"""5 %, and three standard errors of so many samples."""
CLEAR = 0.001
"""A rule that supports so few comparisons need not judge all samples: one that supports `ALLOWED` of them would hardly
ever support so few."""


def supported(rule, makes, verdict=SUPPORTED):
    """Return the share of samples in which a rule supports a comparison at all, or gives one another verdict."""
    return share(lambda: any(one.verdict == verdict for one in rule(makes())))


def share(says):
    """Return the share of samples of which it is said."""
    count = 0
    for samples in range(1, SAMPLES + 1):
        count += says()
        if stats.binom.cdf(count, samples, ALLOWED) < CLEAR:
            break
    return count / samples


def test_tails_are_binomial_where_all_chances_are_equal():
    more, fewer = nulls.count_tails([0.5] * 8, 7)
    assert more == pytest.approx(stats.binom.sf(6, 8, 0.5)) and fewer == pytest.approx(stats.binom.cdf(7, 8, 0.5))
    assert nulls.count_tails([], 0) == (1.0, 1.0)
    assert nulls.count_tails([1.0, 0.0], 1) == (1.0, 1.0)


def test_permutations_are_exact_for_few_values_and_near_scipys_for_many():
    assert nulls.trend([4.0, 3.0, 2.0, 1.0]) == (pytest.approx(-1.0), pytest.approx(1 / 24))
    assert np.isnan(nulls.trend([1.0, 1.0])[0])
    values = np.random.default_rng(0).normal(size=30) + np.arange(30) / 20
    value, chance = nulls.trend(values)
    expected = stats.spearmanr(np.arange(30), values)
    assert value == pytest.approx(expected.statistic) and chance == pytest.approx(expected.pvalue / 2, abs=0.01)


def share_of(comparisons, verdict=SUPPORTED):
    """Return the share of comparisons with this verdict, where all samples stand in one table."""
    verdicts = [comparison.verdict for comparison in comparisons]
    assert len(verdicts) == SAMPLES
    return verdicts.count(verdict) / SAMPLES


def landscapes(generator, layers, matrices=("u_in",), kind="svd"):
    """Return rows of Figure 2 for as many models as there are samples; their losses are noise."""
    rows = [
        row
        for sample in range(SAMPLES)
        for matrix in matrices
        for row in landscape_rows(generator.normal(size=layers), matrix, kind, f"m{sample}")
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def fewer_permutations(monkeypatch):
    """Chances from a tenth of the permutations, which are as valid: an order counts as one of its own permutations."""
    monkeypatch.setattr(nulls, "PERMUTATIONS", 1000)


@pytest.mark.usefixtures("fewer_permutations")
@pytest.mark.parametrize("layers", [4, 12])  # all permutations, and some of them
def test_noise_over_layers_shows_no_pattern(layers):
    generator = np.random.default_rng(layers)
    ranks = [
        {"model": f"m{sample}", "matrix": "u_in", "layer": layer, "effective_rank": rank}
        for sample in range(SAMPLES)
        for layer, rank in enumerate(100 + 30 * generator.normal(size=layers))
    ]
    both = {"fig2": landscapes(generator, layers), "fig10": landscapes(generator, layers, kind="pruning")}
    assert share_of(figure_rules.early_layers(both)) <= ALLOWED
    assert share_of(figure_rules.effective_rank({"fig7": pd.DataFrame(ranks)})) <= ALLOWED
    assert share_of(figure_rules.pruning(both)) <= ALLOWED


def test_matrices_that_are_alike_show_no_difference_of_kind():
    fig2 = landscapes(np.random.default_rng(1), 6, ("u_in", "u_out", "q", "k", "v", "o"))
    assert share_of(figure_rules.attention({"fig2": fig2})) <= ALLOWED


@pytest.mark.parametrize("models", [1, 4, 15])
def test_choices_at_random_are_neither_late_nor_severe(models):
    generator = np.random.default_rng(models)
    gained = gain(5.0, 0.01) | {"metric": "accuracy", "arm": "laser"}
    third = CELL | {"n": 9, "first_layer": 0, "last_layer": 7, "late_candidates": 5 / 8, "severe_candidates": 5 / 9}
    tables = {"table1": [], "table3": []}
    for sample in range(SAMPLES):
        # Five of eight searched layers lie beyond the middle, and five of nine ρ are severe.
        layers = generator.choice([0, 2, 3, 4, 5, 6, 6.5, 7], models)
        rhos = generator.choice([0.9, 0.8, 0.6, 0.4, 0.1, 0.05, 0.01, 0.005, 0.002], models)
        for number, (layer, rho) in enumerate(zip(layers, rhos, strict=True)):
            names = {"model": f"m{number}", "dataset": f"d{sample}"}
            tables["table1"].append(gained | names)
            tables["table3"].append(third | names | {"layer": layer, "rho": rho})
    made = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    assert share_of(table_rules.late_layers(made)) <= ALLOWED
    assert share_of(table_rules.severe(made)) <= ALLOWED


@pytest.mark.usefixtures("fewer_permutations")
def test_models_of_one_corpus_do_not_make_a_trend(monkeypatch):
    monkeypatch.setattr(figure_rules, "_spread", lambda models: "of no matter")
    generator = np.random.default_rng(2)
    rows = []
    for sample in range(SAMPLES):
        # A corpus of its own moves all gains of a seed; noise moves none.
        of_sample = {"dataset": f"d{sample}", "protocol": "p", "row": "model", "family": "gptj", "layers": 4}
        for seed in range(3):
            for level in (0.0, 0.25, 0.5, 0.75, 0.9):
                value = 5 * generator.normal() + 0.5 * generator.normal()
                row = of_sample | {"corpus_seed": seed, "noise": level}
                rows.append(row | {"gain": value, "gain_low": value - 1, "gain_high": value + 1})
    assert share_of(figure_rules.noise({"noise": pd.DataFrame(rows)})) <= ALLOWED


def test_gains_under_two_wordings_that_differ_by_the_margin_are_not_called_equal():
    generator = np.random.default_rng(3)
    from laser.artefacts.prompts import gain_change

    ids, groups = np.arange(900), np.arange(900) // 3

    def made():
        original = pd.DataFrame({"group": groups, "gain": generator.choice([0, 1], 900, p=[0.9, 0.1])}, index=ids)
        other = original.assign(gain=generator.choice([0, 1], 900, p=[0.92, 0.08]))
        rows = [
            gain(10.0, 0.001, gain_change=0.0, gain_change_low=0.0, gain_change_high=0.0, **SPREAD),
            gain(8.0, 0.001, **gain_change(other, original), **SPREAD),
        ]
        return {"prompts": pd.DataFrame(rows)}

    assert supported(table_rules.prompts, made) <= ALLOWED


def test_gains_of_the_margin_are_not_called_none():
    generator = np.random.default_rng(5)

    def made():
        # One point: 6 % of rows are repaired and 5 % spoilt, on 2,232 rows of 744 facts.
        rows = []
        for _ in range(3):
            changes = generator.choice([1.0, 0.0, -1.0], 2232, p=[0.06, 0.89, 0.05])
            bounds = [100 * bound for bound in intervals.change_interval(changes, list(np.arange(2232) // 3))]
            row = {
                "dataset": "d",
                "protocol": "p",
                "row": "model",
                "family": "gptj",
                "layers": 4,
                "noise": 0.0,
                "n": 2232,
            }
            rows.append(row | {"gain": 100 * changes.mean(), "gain_low": bounds[0], "gain_high": bounds[1]})
        return {"noise": pd.DataFrame(rows)}

    assert supported(figure_rules.no_noise, made) <= ALLOWED


def test_corrections_that_do_not_depend_on_frequency_favour_no_bin():
    generator = np.random.default_rng(4)
    names = ("corrected_share", "corrected_share_low", "corrected_share_high")

    def made():
        # Rare facts are seldom right before, so that the paper's ratio explodes; the chance of correction is equal.
        rows = []
        for lowest, wrong in ((1, 280), (1000, 120)):
            right = (generator.random(wrong) < 0.2).astype(float)
            share = (right.mean(), *intervals.share_interval(right, list(np.arange(wrong) // 3)))
            row = CELL | {"bin": str(lowest), "lowest": lowest, "frequency_from": "documents", "n": 300}
            row |= dict.fromkeys(("net", "net_low", "net_high"), 0.0)
            row |= dict.fromkeys(("corrected_ratio", "corrected_ratio_low", "corrected_ratio_high"), 1 / (300 - wrong))
            rows.append(row | dict(zip(names, (100 * value for value in share), strict=True)))
        return {"fig3c": pd.DataFrame(rows)}

    assert supported(figure_rules.rare_facts, made) <= ALLOWED


def test_a_printed_number_that_is_a_draw_itself_is_seldom_outside_and_one_at_the_margin_seldom_within():
    generator, margin = np.random.default_rng(5), rules().margins.accuracy

    def made(shift):
        drawn = 50 + 0.4 * generator.normal(size=5)
        printed = round(50 + shift + (0 if shift else 0.4 * generator.normal()), 1)
        row = CELL | {"metric": "accuracy", "seeds": 5, "mean": drawn.mean(), "sd": drawn.std(ddof=1), "n": 500}
        return {"seeds": pd.DataFrame([row | {"published": printed, "published_within_two_sd": True}])}

    genuine = [next(table_rules.seeds(made(0))).verdict for _ in range(SAMPLES)]
    assert genuine.count(CONTRADICTED) / SAMPLES <= ALLOWED
    # Half a unit of the last printed digit is allowed for.
    assert supported(table_rules.seeds, lambda: made(margin + 0.05)) <= ALLOWED


def changes(generator, better, worse, models, rows=600):
    """Return for every sample and model the difference of accuracy of paired rows, its bounds, and McNemar's p."""
    drawn = generator.multinomial(rows, [better, worse, 1 - better - worse], size=(SAMPLES, models))
    rise, fall = drawn[..., 0], drawn[..., 1]
    low, high = intervals.change_bounds(rise - fall, rows, rows, rows, rise + fall, rise - fall)
    chance = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(rise, fall), rise + fall, 0.5))
    return np.stack([100 * (rise - fall) / rows, 100 * low, 100 * high, chance], axis=-1)


def test_printed_choices_without_an_effect_are_seldom_supported_in_a_whole_study():
    samples = iter(changes(np.random.default_rng(6), 0.05, 0.05, 6))
    names = ("paper_gain", "paper_gain_low", "paper_gain_high", "paper_gain_p")
    row = CELL | {"paper_matrix": "u_in", "paper_layer": 3, "paper_rho": 0.1, "test_n": 600}

    def made():
        rows = [
            row | {"model": f"m{at}"} | dict(zip(names, drawn, strict=True)) for at, drawn in enumerate(next(samples))
        ]
        return {"table3": pd.DataFrame(rows)}

    assert supported(table_rules.published_choice, made) <= ALLOWED


def searched(generator, difference, models=4):
    """Return a function that draws tables of models whose cheap choice differs by this true number of points."""
    names = ("difference", "difference_low", "difference_high", "p_value")
    row = CELL | {"gradient_matrix": "u_in", "gradient_layer": 3, "gradient_rho": 0.1, "saving": 10.0, "n": 600}
    samples = iter(changes(generator, 0.05, 0.05 - difference / 100, models))

    def made():
        rows = [
            row | {"model": f"m{at}"} | dict(zip(names, drawn, strict=True)) for at, drawn in enumerate(next(samples))
        ]
        return {"search": pd.DataFrame(rows)}

    return made


def test_a_cheap_choice_that_is_worse_by_the_margin_is_seldom_called_as_good():
    generator, margin = np.random.default_rng(7), rules().margins.accuracy
    assert supported(table_rules.cheap_search, searched(generator, -margin, models=1)) <= ALLOWED
    worse = searched(generator, -margin)
    assert share(lambda: overall(table_rules.cheap_search(worse())) == SUPPORTED) <= ALLOWED
    # And one that is as good is seldom called worse, in a whole study.
    assert supported(table_rules.cheap_search, searched(generator, 0), CONTRADICTED) <= ALLOWED


def test_a_choice_that_does_what_deletion_does_is_seldom_said_to_do_more():
    generator = np.random.default_rng(11)
    names = ("difference", "difference_low", "difference_high", "p_holm")
    row = CELL | {"metric": "accuracy", "laser": 20.0, "value": 20.0, "n": 600}
    # It equals one of the three, and is far better than the others.
    equal, better = changes(generator, 0.05, 0.05, 1), changes(generator, 0.2, 0.05, 2)
    samples = iter(np.concatenate([equal, better], axis=1))

    def made():
        drawn = zip(table_rules.SIMPLER, next(samples), strict=True)
        rows = [
            row | {"baseline": name, "says": name} | dict(zip(names, values, strict=True)) for name, values in drawn
        ]
        return {"baselines": pd.DataFrame(rows)}

    assert supported(table_rules.baselines, made) <= ALLOWED


def test_a_gain_in_accuracy_alone_makes_no_answers_consistent():
    from laser.artefacts.paraphrase import CONSISTENT, consistency

    generator = np.random.default_rng(12)

    def made():
        # Of 600 facts base knows a third, LASER half; either has 40 % of what it knows right in all phrasings.
        known = [generator.random(600) < share for share in (1 / 3, 1 / 2)]
        whole = [arm & (generator.random(600) < 0.4) for arm in known]
        return {"paraphrase": pd.DataFrame([CELL | {"measure": CONSISTENT} | consistency(whole, known)])}

    assert supported(table_rules.consistency, made) <= ALLOWED


@pytest.mark.parametrize(("rows", "none"), [(60, 0.3), (600, 0.3), (60, 0.06), (600, 0.9)])
def test_components_that_lower_accuracy_by_just_the_margin_are_not_called_wrong_answers(rows, none):
    generator, margin = np.random.default_rng(8), rules().components / 100

    def made():
        lines = []
        for percent, truth in ((0, none), (50, none), (90, none - margin), (100, 1.0)):
            right = (generator.random(rows // 3) < truth).repeat(3)
            alone = generator.random(rows) < truth
            # Half of the facts are answered alike in all phrasings.
            right = np.where((generator.random(rows // 3) < 0.5).repeat(3), right, alone).astype(float)
            low, high = intervals.share_interval(right, list(np.arange(rows) // 3))
            bounds = {"accuracy": 100 * right.mean(), "accuracy_low": 100 * low, "accuracy_high": 100 * high}
            lines.append(CELL | bounds | {"percent": percent, "n": rows})
        return {"fig5b": pd.DataFrame(lines)}

    assert supported(figure_rules.higher_order, made) <= ALLOWED


@pytest.mark.parametrize(
    "drawn",
    [
        {"models": 1, "spread": 0.0},
        {"models": 2},
        {"models": 2, "spread": 0.0},
        {"models": 3, "spread": 1.0},
        {"models": 4},
        {"models": 15},
        {"models": 15, "corpora": 3},
        {"models": 15, "spread": 0.0, "alike": 1.0},
        {"models": 6, "spread": 1.0, "alike": 0.5},
    ],
    ids=str,
)
def test_models_whose_gains_differ_about_nought_are_seldom_said_to_gain(drawn):
    generator = np.random.default_rng(9)
    assert share(lambda: overall(*study(generator, **drawn)) in (SUPPORTED, SUPPORTED_ALONE)) <= ALLOWED


def test_models_that_gain_are_said_to():
    generator = np.random.default_rng(10)
    verdicts = [overall(*study(generator, 8, mean=8.0, spread=3.0)) for _ in range(100)]
    assert verdicts.count(SUPPORTED) > 90
