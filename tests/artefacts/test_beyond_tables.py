"""Tables of the evaluations beside the sweep: choices, composition, perplexity, seeds, prompts, search, size."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from laser.analysis.statistics import mcnemar_p_value
from laser.artefacts.compose import compose_table
from laser.artefacts.compose import views as compose_views
from laser.artefacts.perplexity import perplexity_table
from laser.artefacts.perplexity import views as perplexity_views
from laser.artefacts.prompts import prompts_table
from laser.artefacts.prompts import views as prompts_views
from laser.artefacts.search import BACKWARD, search_table
from laser.artefacts.search import views as search_views
from laser.artefacts.seeds import seeds_table
from laser.artefacts.seeds import views as seeds_views
from laser.artefacts.size import read_cards, size
from laser.artefacts.size import views as size_views
from laser.artefacts.table3 import table3, with_test_scores
from laser.artefacts.table3 import views as table3_views
from laser.errors import UserError
from laser.evaluation.racing import Race
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from laser.paper.published import Published, printed, read_published
from laser.paper.text_numbers import COMPOSED, PERPLEXITY_INPUT, read_text_numbers
from laser.results.labelled import load_labelled
from laser.results.loading import load_cells, load_selections
from tests.artefacts import synthetic, synthetic_more

QUICK = {"resamples": 200}
FEVER = 0


@pytest.fixture
def study(tmp_path):
    """A study of one model and one dataset."""
    return synthetic.build(tmp_path, examples=60, models=synthetic.MODELS[:1], datasets=synthetic.DATASETS[:1])


@pytest.fixture
def whole(tmp_path):
    """A study of two models and two datasets; the second model kept base on the second dataset."""
    return synthetic.build(tmp_path, examples=60)


def cells(study):
    return load_cells(study.tests, study.selections, study.rows)


def fits(views):
    assert views
    for view in views:
        assert view.rows and all(len(row) == len(view.columns) for row in view.rows)


def named(published_model="GPT-J", dataset="FEVER", **tables):
    return Published(models={"gpt-j-6b": published_model}, datasets={"fever": dataset}, **tables)


# Labelled files


def test_rows_of_the_wrong_side_of_the_split_are_refused(study):
    path = synthetic_more.choices(study, FEVER)
    frame = read_parquet(path)
    frame.loc[0, "id"] = read_parquet(study.bases[FEVER])["id"].iloc[0]
    write_parquet(path, frame, read_spec(path))
    with pytest.raises(UserError, match="1 rows that are not test rows of the split"):
        load_labelled([path], ["choice"], study.rows)


def test_labels_scored_on_different_rows_are_refused_unless_they_stand_apart(study):
    path = synthetic_more.prompts(study, FEVER)
    frame = read_parquet(path)
    gone = frame["id"].iloc[-1]
    less = frame[~((frame["variant"] == "variant 2") & (frame["id"] == gone))]
    write_parquet(path, less, read_spec(path))
    with pytest.raises(UserError, match="'variant': 'variant 2', 'arm': 'base'} was scored on other rows"):
        load_labelled([path], ["variant", "arm"], study.rows)
    assert load_labelled([path], ["variant", "arm"], study.rows, apart=["variant"])
    uneven = frame[~((frame["variant"] == "variant 2") & (frame["arm"] == "base") & (frame["id"] == gone))]
    write_parquet(path, uneven, read_spec(path))
    with pytest.raises(UserError, match="was scored on other rows"):
        load_labelled([path], ["variant", "arm"], study.rows, apart=["variant"])


def test_a_missing_column_is_named(study):
    path = synthetic_more.choices(study, FEVER)
    with pytest.raises(UserError, match="lacks the column 'seed'"):
        load_labelled([path], ["seed"], study.rows)


# Table 3 with test scores


def test_table3_adds_test_scores_of_both_choices(whole):
    published = read_published()
    frame = table3(load_selections(whole.selections), published)
    path = synthetic_more.choices(whole, FEVER)
    found = with_test_scores(frame, cells(whole), load_labelled([path], ["choice"], whole.rows), **QUICK)
    row = found[(found["model"] == "gpt-j-6b") & (found["dataset"] == "fever") & (found["protocol"] == "corrected")]
    row = row.iloc[0]
    rows, test = read_parquet(path), read_parquet(whole.tests[FEVER])
    theirs = rows[(rows["protocol"] == "corrected") & (rows["choice"] == "published")].set_index("id")["correct"]
    test = test[test["protocol"] == "corrected"]
    base = test[test["arm"] == "base"].set_index("id")["correct"]
    assert row["paper_test_accuracy"] == pytest.approx(100 * theirs.mean())
    assert row["paper_gain"] == pytest.approx(100 * (theirs - base.astype(int)).mean())
    assert row["paper_gain_p"] == pytest.approx(mcnemar_p_value(base, theirs.loc[base.index]))
    assert row["test_accuracy"] == pytest.approx(100 * test[test["arm"] == "laser"]["correct"].mean())
    others = found.drop(index=found.index[(found["model"] == "gpt-j-6b") & (found["dataset"] == "fever")])
    assert others["paper_gain"].isna().all() and others["test_accuracy"].notna().all()
    fits(table3_views(found))
    assert "Test n" in table3_views(found)[0].columns and "Test n" not in table3_views(frame)[0].columns


def test_table3_refuses_a_choice_scored_on_other_rows_than_the_test_file(study):
    path = synthetic_more.choices(study, FEVER)
    frame = read_parquet(path)
    write_parquet(path, frame[frame["id"] != frame["id"].iloc[-1]], read_spec(path))
    choices = load_labelled([path], ["choice"], study.rows)
    with pytest.raises(UserError, match="The paper's choice of gpt-j-6b on fever"):
        with_test_scores(table3(load_selections(study.selections)), cells(study), choices, **QUICK)


# Composition


def composed(study, accuracies=(0.5, 0.65, 0.75), **settings):
    search, rows = synthetic_more.composed(study, FEVER, accuracies)
    found = [read_json(search)]
    parts = load_labelled([rows], ["step"], study.rows)
    return compose_table(cells(study), parts, found, **settings, **QUICK), search, rows


def test_composition_stands_beside_base_and_the_best_single_intervention(study):
    frame, _, path = composed(study)
    rows = read_parquet(path)
    own = frame[(frame["protocol"] == "corrected") & (frame["metric"] == "accuracy")].set_index("arm")
    last = rows[(rows["protocol"] == "corrected") & (rows["step"] == 2)]["correct"].mean()
    assert own.loc["composed", "value"] == pytest.approx(100 * last)
    assert list(own["edits"]) == [0, 1, 2]
    assert json.loads(own.loc["composed", "interventions"]) == [["u_in", 5, 0.01], ["u_out", 2, 0.1]]
    gap = own.loc["composed", "value"] - own.loc["laser", "value"]
    assert own.loc["composed", "over_laser"] == pytest.approx(gap)
    assert own.loc["composed", "difference"] - own.loc["laser", "difference"] == pytest.approx(gap)
    assert own["over_laser"].notna().sum() == 1
    assert list(own["validation_composed"]) == [61.0] * 3
    assert np.isfinite(frame["low"]).all()
    fits(compose_views(frame))


def test_a_composition_without_edits_is_base(study):
    frame, *_ = composed(study, (0.5,))
    own = frame[frame["arm"] == "composed"]
    assert list(own["edits"]) == [0] * len(own) and (own["interventions"] == "[]").all()
    assert any("none" in row for view in compose_views(frame) for row in view.rows)


def test_test_rows_of_another_composition_are_refused(study):
    _, search, rows = composed(study)
    found = read_json(search)
    found["protocols"]["published"]["chosen"] = found["protocols"]["published"]["chosen"][:1]
    write_json(search, found)
    with pytest.raises(UserError, match="another composition"):
        compose_table(cells(study), load_labelled([rows], ["step"], study.rows), [found])


def test_the_papers_composition_is_shown_for_its_own_cell_alone(study):
    texts = read_text_numbers()
    for dataset, expected in (("CounterFact", True), ("FEVER", False)):
        frame, *_ = composed(study, published=named(dataset=dataset), texts=texts)
        own = frame[(frame["arm"] == "composed") & (frame["metric"] == "accuracy")]
        assert (own["published"] == texts[COMPOSED].value.value).all() == expected
        assert ("Paper: composed" in compose_views(frame)[0].columns) == expected


# Perplexity


def test_perplexity_is_that_of_all_tokens_and_intervals_are_paired(study):
    path = synthetic_more.perplexity(study, FEVER)
    frame = perplexity_table([path])
    own = frame[frame["protocol"] == "corrected"].set_index("arm")
    rows = read_parquet(path)
    base = rows[(rows["protocol"] == "corrected") & (rows["arm"] == "base")]
    assert own.loc["base", "perplexity"] == pytest.approx(math.exp(base["nll"].sum() / base["tokens"].sum()))
    assert own.loc["base", "perplexity_low"] < own.loc["base", "perplexity"] < own.loc["base", "perplexity_high"]
    # The same cost in every window: the ratio is certain, however much windows differ.
    assert list(own.loc["input", ["ratio", "ratio_low", "ratio_high"]]) == pytest.approx([math.exp(0.05)] * 3)
    assert own.loc["input", "p_value"] < 0.001 and own.loc["output", "p_value"] == 1.0
    assert (own.loc["input", "matrix"], own.loc["input", "layer"]) == ("u_in", 5)
    assert own.loc["base", "windows"] == 30 and own.loc["base", "tokens"] == 3000
    fits(perplexity_views(frame))


def test_windows_of_other_lengths_weigh_by_their_tokens(study):
    path = synthetic_more.perplexity(study, FEVER, windows=2)
    frame = read_parquet(path)
    frame.loc[frame["window"] == 1, "tokens"] = 50
    frame["nll"] = frame["window"].map({0: 100.0, 1: 200.0})
    write_parquet(path, frame, read_spec(path))
    assert perplexity_table([path])["perplexity"].unique() == pytest.approx([math.exp(2.0)])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_arm_that_overflows_on_a_window_has_no_perplexity(study, value):
    path = synthetic_more.perplexity(study, FEVER)
    before = perplexity_table([path]).set_index(["protocol", "arm"])
    frame = read_parquet(path)
    frame.loc[(frame["arm"] == "input") & (frame["window"] == 3), "nll"] = value
    write_parquet(path, frame, read_spec(path))
    after = perplexity_table([path]).set_index(["protocol", "arm"])
    own = after.xs("input", level="arm")
    assert not np.isfinite(own[["perplexity", "ratio"]]).any(axis=None) and own["p_value"].isna().all()
    others = [key for key in after.index if key[1] != "input"]
    pd.testing.assert_frame_equal(after.loc[others].drop(columns="p_holm"), before.loc[others].drop(columns="p_holm"))
    fits(perplexity_views(perplexity_table([path])))


def test_an_arm_scored_on_other_windows_is_refused(study):
    path = synthetic_more.perplexity(study, FEVER)
    frame = read_parquet(path)
    write_parquet(path, frame.iloc[:-1], read_spec(path))
    with pytest.raises(UserError, match="other windows than base"):
        perplexity_table([path])


def test_published_perplexities_need_the_papers_cell_and_text(study):
    path, texts = synthetic_more.perplexity(study, FEVER), read_text_numbers()
    frame = perplexity_table([path], named(dataset="CounterFact"), texts).set_index("arm")
    assert set(frame.loc["input", "published"]) == {texts[PERPLEXITY_INPUT].value.value}
    assert set(frame.loc["base", "published"]) == {texts[PERPLEXITY_INPUT].base.value}
    spec = read_spec(path) | {"text": "another"}
    write_parquet(path, read_parquet(path), spec)
    assert perplexity_table([path], named(dataset="CounterFact"), texts)["published"].isna().all()


# Seeds


def spread(study, published=None, place=synthetic_more.BEST):
    path = synthetic_more.seeds(study, FEVER, place)
    return seeds_table(load_labelled([path], ["seed"], study.rows), cells(study), published, **QUICK), path


def test_the_spread_over_seeds_is_that_of_their_means(study):
    frame, path = spread(study)
    rows = read_parquet(path)
    means = 100 * rows[rows["protocol"] == "published"].groupby("seed")["correct"].mean()
    row = frame[(frame["protocol"] == "published") & (frame["metric"] == "accuracy")].iloc[0]
    assert list(row[["mean", "sd", "min", "max", "seeds"]]) == pytest.approx(
        [means.mean(), means.std(ddof=1), means.min(), means.max(), 3]
    )
    assert row["low"] <= row["mean"] <= row["high"]
    assert pd.isna(row["published_within_range"]) and pd.isna(row["published_choice"])
    fits(seeds_views(frame))


def test_the_exact_step_is_shown_under_the_protocol_that_has_it_at_the_same_place(study):
    frame, _ = spread(study)
    exact = frame.set_index(["protocol", "metric"])["exact"]
    test = read_parquet(study.tests[FEVER])
    laser = test[(test["protocol"] == "corrected") & (test["arm"] == "laser")]
    assert exact["corrected", "loss"] == pytest.approx(laser["loss"].mean())
    assert exact["published"].isna().all()
    elsewhere, _ = spread(study, place=synthetic_more.OTHER)
    assert elsewhere["exact"].isna().all()


@pytest.mark.parametrize(("value", "in_range", "in_two"), [("{mean:.1f}", True, True), ("{far:.1f}", False, False)])
def test_a_printed_number_is_compared_at_the_papers_own_choice(study, value, in_range, in_two):
    frame, _ = spread(study)
    row = frame[(frame["protocol"] == "corrected") & (frame["metric"] == "accuracy")].iloc[0]
    text = value.format(mean=row["mean"], far=row["max"] + 3 * row["sd"] + 1)
    place = synthetic_more.BEST | {"tau": "U_in"}
    tables = {"table1": {("GPT-J", "FEVER", "accuracy", "laser"): printed(text)}}
    for chosen, compared in ((place, True), (place | {"layer": 1}, False)):
        found, _ = spread(study, named(**tables, table3={("GPT-J", "FEVER"): chosen}))
        row = found[(found["protocol"] == "corrected") & (found["metric"] == "accuracy")].iloc[0]
        assert row["published"] == float(text) and row["published_choice"] == compared
        if compared:
            assert (row["published_within_range"], row["published_within_two_sd"]) == (in_range, in_two)
        else:
            assert pd.isna(row["published_within_range"])


def test_rounding_of_the_printed_number_is_allowed_for(study):
    frame, _ = spread(study)
    row = frame[(frame["protocol"] == "corrected") & (frame["metric"] == "accuracy")].iloc[0]
    above = math.floor(row["max"]) + 1
    for text, within in ((f"{above}", row["max"] >= above - 0.5), (f"{above}.00", False)):
        tables = {"table1": {("GPT-J", "FEVER", "accuracy", "laser"): printed(text)}}
        found, _ = spread(study, named(**tables, table3={("GPT-J", "FEVER"): synthetic_more.BEST}))
        one = found[(found["protocol"] == "corrected") & (found["metric"] == "accuracy")].iloc[0]
        assert one["published_within_range"] == within


# Prompts


def asked(study, gains=(0.15, 0.1, -0.1), published=None):
    path = synthetic_more.prompts(study, FEVER, gains)
    parts = load_labelled([path], ["variant", "arm"], study.rows, apart=["variant"])
    return prompts_table(parts, cells(study), published, **QUICK), path


def test_every_variant_has_its_gain_and_the_sign_is_counted(study):
    frame, path = asked(study)
    own = frame[frame["protocol"] == "corrected"].set_index("variant")
    rows = read_parquet(path)
    rows = rows[rows["protocol"] == "corrected"]
    for variant, row in own.iterrows():
        means = rows[rows["variant"] == variant].groupby("arm")["correct"].mean()
        assert row["difference"] == pytest.approx(100 * (means["laser"] - means["base"]))
        assert row["wording"] == "x"
    assert set(own["variants"]) == {3} and set(own["same_sign"]) == {2}
    assert own["gain_min"].iloc[0] == own["difference"].min() < 0 < own["gain_max"].iloc[0]
    fits(prompts_views(frame))


def test_outcomes_follow_the_adjusted_test(study):
    frame, _ = asked(study, (0.5, 0.0, -0.5))
    own = frame[frame["protocol"] == "published"].set_index("variant")
    assert own.loc["original", "p_holm"] < 0.05 and own.loc["original", "outcome"] == "raised"
    assert own.loc["variant 1", "outcome"] == "not significant"
    assert own.loc["variant 2", "outcome"] == "lowered"
    assert (own["verdict"] == "").all()


def test_a_verdict_needs_the_papers_cell_and_all_test_rows(study):
    frame, _ = asked(study, (0.5, 0.0))
    first = frame[(frame["protocol"] == "published") & (frame["variant"] == "original")].iloc[0]
    tables = {
        "table1": {("GPT-J", "FEVER", "accuracy", arm): printed(f"{first[arm]:.1f}") for arm in ("base", "laser")},
        "table4": {"FEVER": {"size": 60, "validation": 12, "test": 10_000}},
    }
    found, path = asked(study, (0.5, 0.0), named(**tables))
    own = found[found["protocol"] == "published"].set_index("variant")
    assert own.loc["original", "verdict"] == "replicated" and own.loc["variant 1", "verdict"] == "differs"
    frame = read_parquet(path)
    write_parquet(path, frame[frame["id"] != frame["id"].iloc[-1]], read_spec(path))
    parts = load_labelled([path], ["variant", "arm"], study.rows, apart=["variant"])
    assert set(prompts_table(parts, cells(study), named(**tables), **QUICK)["verdict"]) == {"not run"}


def test_prompts_without_the_original_are_refused(study):
    path = synthetic_more.prompts(study, FEVER)
    frame = read_parquet(path)
    write_parquet(path, frame[frame["variant"] != "original"], read_spec(path))
    parts = load_labelled([path], ["variant", "arm"], study.rows)
    with pytest.raises(UserError, match="lacks the original prompt"):
        prompts_table(parts, cells(study), **QUICK)


# Search


def searched(study):
    choices = load_labelled([synthetic_more.choices(study, FEVER)], ["choice"], study.rows)
    found = [read_json(synthetic_more.gradients(study, FEVER))]
    table = search_table(cells(study), load_selections(study.selections), found, choices, races(choices), **QUICK)
    return table, choices, found


def races(choices):
    """Races of 18 candidates over 24 rows, of which one ran to the end and the others saw two rows."""
    race = Race(np.array([24, *[2] * 17]), 24, False)
    return {(part.model, part.dataset, part.protocol): (race, True) for part in choices}


def test_both_searches_stand_side_by_side_with_their_costs(study):
    frame, choices, _ = searched(study)
    row = frame[frame["protocol"] == "corrected"].iloc[0]
    cheap = choices[[one.protocol for one in choices].index("corrected")].arm(choice="gradient")["correct"].mean()
    assert row["gradient"] == pytest.approx(100 * cheap)
    assert row["difference"] == pytest.approx(row["gradient"] - row["exhaustive"])
    assert row["gain_kept"] == pytest.approx(100 * row["gradient_gain"] / row["exhaustive_gain"])
    assert row["same"] and (row["place_order"], row["places"]) == (1, 6)
    assert (row["evaluations"], row["gradient_evaluations"]) == (19 * 24, 7 * 10)
    assert row["saving"] == pytest.approx(19 * 24 / (70 + BACKWARD * 10))
    # The synthetic selection file lists one candidate of eighteen.
    assert not row["whole_grid"] and row["candidates"] == 1
    assert (row["racing_same"], row["racing_whole"], row["racing_evaluations"]) == (True, 1, 24 + 24 + 34)
    assert row["racing_saving"] == pytest.approx(19 * 24 / 82)
    fits(search_views(frame))


def test_a_choices_file_without_the_search_is_refused(study):
    _, choices, found = searched(study)
    spec = choices[0].spec
    spec.pop("search")
    with pytest.raises(UserError, match="lacks its test, selection or choices file"):
        search_table(cells(study), load_selections(study.selections), found, choices, races(choices))


# Size


def sized(study, shape=(64, 32), kept=3, parameters=100_000, dtype="fp16"):
    for path in study.records:
        record = read_json(path)
        for one in record["matrices"].values():
            one |= {"shape": list(shape), "kept_rank": kept, "parameters": shape[0] * shape[1]}
            one["parameters_factored"] = kept * sum(shape)
        write_json(path, record)
    cards = []
    for name in synthetic.MODELS:
        card = study.folder / f"{name}-card.json"
        write_json(card, {"name": name, "parameters": parameters, "dtype_stored": dtype})
        cards.append(card)
    return size(load_selections(study.selections), study.records, read_cards(cards))


def test_sizes_are_those_of_the_factors_at_the_kept_rank(study):
    frame = sized(study)
    row = frame[(frame["model"] == "gpt-j-6b") & (frame["protocol"] == "corrected")].iloc[0]
    assert (row["parameters"], row["parameters_factored"], row["parameters_saved"]) == (2048, 288, 1760)
    assert (row["bytes_saved"], row["model_bytes"]) == (3520, 200_000)
    assert row["saved_of_model"] == pytest.approx(1.76) and row["break_even_rank"] == pytest.approx(2048 / 96)
    assert row["saved"]
    fits(size_views(frame))


def test_factors_of_a_high_rank_are_larger_than_the_matrix(study):
    row = sized(study, kept=30).iloc[0]
    assert row["parameters_saved"] == 2048 - 30 * 96 and not row["saved"] and row["saved_of_matrix"] < 0


def test_where_base_was_chosen_nothing_is_saved(whole):
    frame = sized(whole)
    row = frame[(frame["model"] == "tiny-llama") & (frame["dataset"] == "worldfacts")]
    row = row[row["protocol"] == "corrected"].iloc[0]
    assert row["matrix"] == "" and pd.isna(row["parameters_saved"]) and row["model_parameters"] == 100_000


def test_missing_cards_and_records_are_named(study):
    sized(study)
    with pytest.raises(UserError, match="no card was given for the model gpt-j-6b"):
        size(load_selections(study.selections), study.records, {})
    cards = {name: {"parameters": 1, "dtype_stored": "fp32"} for name in synthetic.MODELS}
    with pytest.raises(UserError, match=r"no reduction record was given for \('gpt-j-6b', 'u_in', 5, 0.01\)"):
        size(load_selections(study.selections), [], cards)
