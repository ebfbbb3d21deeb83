"""Figures of the evaluations beside the sweep: composition, smallest components, noise and depth."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from laser.artefacts import fig4 as fig4_module
from laser.artefacts import fig5b as fig5b_module
from laser.artefacts import noise as noise_module
from laser.artefacts.fig4 import fig4, fig4_data
from laser.artefacts.fig5b import fig5b, fig5b_data, load_higher_order
from laser.artefacts.fig5c import ANSWERS, COLUMNS, LONGEST, ROWS, brief, fig5c_rows, shown_percent
from laser.artefacts.fig5c import views as fig5c_views
from laser.artefacts.noise import noise, noise_data, series
from laser.errors import UserError
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from laser.results.cells import PairedCell
from laser.results.labelled import load_labelled
from tests.artefacts import synthetic
from tests.artefacts.drawing import watch
from tests.artefacts.making import data_of, frames, make, spec_of

CELL = ("gpt-j-6b", "worldfacts")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("study"), examples=120)


def of_cell(paths, cell=CELL):
    return next(path for path in paths if "/".join(cell) in str(path))


def rows_of(study):
    return next(path for path in study.rows if "worldfacts" in str(path))


def composition(study, accepted=(False, True, False, True)):
    """Write a search over two layers with two matrices each, and test rows that gain one right answer per edit."""
    tested = of_cell(study.tests)
    rows, spec = read_parquet(tested), read_spec(tested)
    best, steps, chosen = 40.0, [], []
    for number, taken in enumerate(accepted):
        best += 5 * taken
        place = {
            "layer": (len(accepted) - 1 - number) // 2,
            "matrix": ("u_in", "u_out")[number % 2],
            "rho": 0.1,
            "kept_rank": 3,
        }
        steps.append(place | {"accuracy": best if taken else best - 3, "loss": 2.0, "n": 20, "accepted": taken})
        chosen += [{key: place[key] for key in ("matrix", "layer", "rho", "kept_rank")}] * taken
    parts = []
    for protocol in synthetic.PROTOCOLS:
        base = rows[(rows["protocol"] == protocol) & (rows["arm"] == "base")].drop(columns="arm")
        right = base["correct"].to_numpy().copy()
        for step in range(len(chosen) + 1):
            parts.append(base.assign(step=step, correct=right.copy()))
            right[np.flatnonzero(~right)[0]] = True
    found = {"base": {"accuracy": 40.0, "loss": 3.0, "n": 20}, "steps": steps, "chosen": chosen}
    search, composed = (study.folder / f"compose/{'/'.join(CELL)}.{ending}" for ending in ("json", "parquet"))
    protocols = dict.fromkeys(synthetic.PROTOCOLS, found)
    write_json(search, {"model": CELL[0], "dataset": CELL[1], "rule": "greedy", "spec": {}, "protocols": protocols})
    chosen_of = dict.fromkeys(synthetic.PROTOCOLS, chosen)
    write_parquet(composed, pd.concat(parts, ignore_index=True), spec | {"chosen": chosen_of})
    return search, composed


def loaded(study, composed):
    return load_labelled([composed], ["step"], [rows_of(study)])[0]


def test_figure_4_follows_the_search_and_scores_test_rows_where_an_edit_was_accepted(study, tmp_path):
    search, composed = composition(study)
    one = loaded(study, composed)
    data = fig4_data(read_json(search), one)
    assert list(data["edits"]) == [0, 0, 1, 1, 2]
    assert list(data["validation_best"]) == [40, 40, 45, 45, 50]
    assert list(data["validation_accuracy"]) == [40, 37, 45, 42, 50]
    assert list(data["test_accuracy"].notna()) == [True, False, True, False, True]
    rows = one.arm(step=0)
    base, gain = 100 * rows["correct"].mean(), 100 / len(rows)
    assert list(data["test_accuracy"].dropna()) == pytest.approx([base, base + gain, base + 2 * gain])
    assert set(data["test_n"].dropna()) == {len(rows)} and set(data["validation_n"]) == {20}


@pytest.mark.parametrize("accepted", [(False,) * 4, (True,) * 40, (False, True) * 28, (True,)])
def test_figure_4_fits_its_page_whatever_is_accepted(study, tmp_path, monkeypatch, accepted):
    search, composed = composition(study, accepted)
    seen = watch(monkeypatch, fig4_module)
    data = fig4(read_json(search), loaded(study, composed), tmp_path / "x")
    assert data["edits"].iloc[-1] == sum(accepted) and seen["clashes"] == []


def test_figure_4_refuses_test_rows_of_another_composition(study):
    search, composed = composition(study)
    one = loaded(study, composed)
    found = read_json(search)
    found["protocols"][one.protocol]["chosen"][0]["rho"] = 0.5
    with pytest.raises(UserError, match="another composition"):
        fig4_data(found, one)
    del found["protocols"][one.protocol]
    with pytest.raises(UserError, match=f"has no {one.protocol} protocol"):
        fig4_data(found, one)


def test_figure_4_keeps_protocols_apart(study, tmp_path):
    _, composed = composition(study)
    protocols = ["corrected", "published"]
    drawn = data_of(study.folder, spec_of("fig4", [CELL], protocols=protocols), tmp_path)
    assert [set(frame["protocol"]) for frame in drawn] == [{"corrected"}, {"published"}]
    rows = read_parquet(composed)
    for frame, protocol in zip(drawn, protocols, strict=True):
        own = rows[(rows["protocol"] == protocol) & (rows["step"] == 2)]
        assert frame["test_accuracy"].iloc[-1] == pytest.approx(100 * own["correct"].mean())


def higher_order(study, percents=(10.0, 60.0, 100.0)):
    """Write answers of the smallest components: all right at the lowest percentage, none at the highest."""
    tested = of_cell(study.tests)
    rows, spec = read_parquet(tested), read_spec(tested)
    parts = []
    for protocol in synthetic.PROTOCOLS:
        own = {
            arm: rows[(rows["protocol"] == protocol) & (rows["arm"] == arm)].set_index("id")
            for arm in ("base", "laser")
        }
        repaired = own["base"][~own["base"]["correct"] & own["laser"]["correct"]]
        for percent in percents:
            part = repaired.reset_index().drop(columns="arm")
            similarity = np.full(len(part), 1 - percent / 100)
            similarity[0] = np.nan
            parts.append(part.assign(percent=percent, correct=percent == percents[0], similarity=similarity))
    path = study.folder / f"higher_order/{'/'.join(CELL)}.parquet"
    write_parquet(path, pd.concat(parts, ignore_index=True), spec)
    return path


def test_figure_5b_averages_what_can_be_compared_and_says_of_how_many(study, tmp_path, monkeypatch):
    frame, spec = load_higher_order(higher_order(study), rows_of(study))
    data = fig5b_data(frame, spec, "corrected", resamples=50)
    assert list(data["percent"]) == [10, 60, 100] and list(data["accuracy"]) == [100, 0, 0]
    assert list(data["similarity"]) == pytest.approx([0.9, 0.4, 0.0])
    assert (data["with_similarity"] == data["n"] - 1).all() and data["n"].iloc[0] > 3
    assert data["groups"].iloc[0] <= data["n"].iloc[0]
    assert set(data["layer"]) == {5} and set(data["matrix"]) == {"u_in"}
    seen = watch(monkeypatch, fig5b_module)
    fig5b(frame, spec, "corrected", tmp_path / "x", resamples=50)
    assert seen["clashes"] == [] and f"n\u00a0=\u00a0{data['n'].iloc[0]}" in seen["title"]


def test_figure_5b_without_any_repaired_answer_says_why(study, tmp_path, monkeypatch):
    path, seen = higher_order(study), {}
    draw = fig5b_module.notice
    monkeypatch.setattr(fig5b_module, "notice", lambda *given: seen.update(message=given[-1]) or draw(*given))
    frame, spec = load_higher_order(path, rows_of(study))
    for chosen, words in (({"corrected": None}, "kept the base model"), (spec["chosen"], "repairs no test answer")):
        data = fig5b(frame.head(0), spec | {"chosen": chosen}, "corrected", tmp_path / "none")
        assert data.empty and list(data.columns) == list(fig5b_module.COLUMNS)
        assert (tmp_path / "none.pdf").stat().st_size > 1000
        assert words in seen["message"]


def test_rows_that_are_no_test_rows_are_refused(study, tmp_path):
    path = higher_order(study)
    frame, spec = read_parquet(path), read_spec(path)
    write_parquet(path, frame.assign(id="worldfacts-0"), spec)
    with pytest.raises(UserError, match="no test rows"):
        load_higher_order(path, rows_of(study))


def test_the_percentage_shown_is_what_laser_removes_or_the_nearest_below():
    grid = [10, 20, 90, 99, 100]
    assert [shown_percent(grid, rho) for rho in (0.8, 0.1, 0.01, 0.005, 0.75, 0.95)] == [20, 90, 99, 99, 20, 10]
    # 100·(1 − 0.9) is a little less than 10 in binary.
    assert shown_percent(grid, 0.9) == 10
    # The control without any components is never shown as an example of them.
    assert shown_percent([0, 10, 90], 0.95) == 10 and shown_percent([0], 0.95) == 0


def test_examples_are_the_first_of_their_groups_evenly_spaced():
    count = 90
    ids = [f"d-{number}" for number in range(count)]
    rows = pd.DataFrame({"id": ids, "group": [f"g{number // 3}" for number in range(count)], "answer": "x"})
    rows = rows.assign(base_prediction="b", laser_prediction="x")
    cell = PairedCell("m", "d", "corrected", rows, {"matrix": "u_in", "layer": 2, "rho": 0.1, "kept_rank": 1}, "fp32")
    smallest = pd.concat(
        pd.DataFrame({"protocol": "corrected", "percent": percent, "id": ids, "prediction": f"p{percent:g}"})
        for percent in (50.0, 90.0, 100.0)
    ).assign(correct=False, similarity=0.25)
    prompts = pd.Series("prompt", index=ids)
    found = fig5c_rows(cell, smallest, prompts)
    assert [row["id"] for row in found] == [f"d-{3 * (place * 30 // ROWS)}" for place in range(ROWS)]
    assert {row["smallest_prediction"] for row in found} == {"p90"} and {row["repaired"] for row in found} == {count}
    few = fig5c_rows(cell, smallest[smallest["id"].isin(["d-4", "d-5", "d-7"])], prompts)
    assert [row["id"] for row in few] == ["d-4", "d-7"]
    assert fig5c_rows(cell, smallest.head(0), prompts) == []


def test_the_table_of_examples_is_whole_in_csv_and_short_to_read(study, tmp_path):
    higher_order(study)
    outputs = make(study.folder, spec_of("fig5c", [CELL], protocols=["corrected", "published"]), tmp_path)
    (frame,) = frames(outputs)
    assert set(frame["protocol"]) == set(synthetic.PROTOCOLS) and frame.groupby("protocol").size().max() <= ROWS
    assert not frame.duplicated(["protocol", "group"]).any()
    assert outputs[1].read_text().count("corrected protocol") == 1 and "toprule" in outputs[2].read_text()


def test_long_texts_are_cut_for_reading_and_none_means_a_table_that_says_so():
    assert brief("a\n b") == "a b" and len(brief("x" * 500)) == LONGEST + 2
    assert brief("start " + "x" * 500 + " end", end=True).endswith("end")
    (view,) = fig5c_views(pd.DataFrame(columns=list(COLUMNS)))
    assert view.rows == [] and "repairs no test answer" in view.notes[0] and len(ANSWERS) == 4


def trained(name, base, laser, chosen=True):
    frame = pd.DataFrame({"id": range(len(base)), "group": [number // 2 for number in range(len(base))]})
    frame = frame.assign(base_correct=np.array(base, bool), laser_correct=np.array(laser, bool))
    place = {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 3} if chosen else None
    return PairedCell(name, "worldfacts", "corrected", frame, place, "fp32")


def laboratory(levels=(0.0, 0.5, 0.9), seeds=3, depths=(2, 4), families=("gptj",)):
    """Cells and facts: all noise levels at the last depth, all depths at the last noise level."""
    draw = np.random.default_rng(3)
    facts, cells = {}, []
    for family in families:
        for noise_level, layers in dict.fromkeys(
            [*((n, depths[-1]) for n in levels), *((levels[-1], d) for d in depths)]
        ):
            for seed in range(seeds):
                name = f"{family}-{noise_level}-{layers}-{seed}"
                facts[name] = {
                    "family": family,
                    "noise": noise_level,
                    "layers": layers,
                    "seed": seed,
                    "corpus_seed": seed,
                }
                base = draw.random(40) < 0.4
                cells.append(trained(name, base, base | (draw.random(40) < 0.2 * noise_level), noise_level > 0))
    return cells, facts


def test_the_gain_is_averaged_over_seeds_with_a_t_interval():
    cells, facts = laboratory()
    data = noise_data([*cells, trained("other", [1, 0], [1, 1])], facts, resamples=100)
    models, means = data[data["row"] == "model"], data[data["row"] == "mean"]
    assert "other" not in set(data["trained_model"]) and len(models) == 12 and len(means) == 4
    for row in means.to_dict("records"):
        own = models[(models["noise"] == row["noise"]) & (models["layers"] == row["layers"])]["gain"]
        low, high = (row["gain"], row["gain"])
        if own.std() > 0:
            low, high = stats.t.interval(0.95, len(own) - 1, own.mean(), stats.sem(own))
        assert (row["gain"], row["gain_low"], row["gain_high"]) == pytest.approx((own.mean(), low, high))
        assert row["seeds"] == 3
    first = models.iloc[0]
    wanted = 100 * (cells[0].rows["laser_correct"].mean() - cells[0].rows["base_correct"].mean())
    assert first["gain"] == pytest.approx(wanted) and first["gain_low"] <= first["gain"] <= first["gain_high"]
    # Without noise selection kept base: no gain, no rho.
    assert (models.loc[models["noise"] == 0, "matrix"] == "").all() and models["rho"].isna().sum() == 3


def test_a_lone_seed_has_no_interval_over_seeds():
    cells, facts = laboratory(seeds=1)
    means = noise_data(cells, facts, resamples=50).query("row == 'mean'")
    assert means["gain_low"].isna().all() and means["gain"].notna().all()
    with pytest.raises(UserError, match="no test file is of a model that the pipeline trained"):
        noise_data(cells, {})


def test_lines_join_models_that_differ_in_one_setting():
    cells, facts = laboratory(families=("gptj", "llama"))
    data = noise_data(cells, facts, resamples=20)
    assert series(data, "noise") == [("gptj", 4), ("llama", 4)]
    assert series(data, "layers") == [("gptj", 0.9), ("llama", 0.9)]


@pytest.mark.parametrize(
    "settings, panels",
    [
        ({"levels": (0.0, 0.25, 0.5, 0.75, 0.9), "depths": (2, 4, 6)}, 4),
        ({"families": ("gptj", "llama", "roberta")}, 4),
        ({"levels": (0.5,)}, 2),
        ({"levels": (0.5,), "depths": (4,), "seeds": 1, "families": ("gptj", "llama")}, 2),
    ],
)
def test_the_noise_figure_has_the_panels_that_its_models_differ_in(tmp_path, monkeypatch, settings, panels):
    cells, facts = laboratory(**settings)
    seen = watch(monkeypatch, noise_module)
    noise(cells, facts, tmp_path / "x", resamples=20)
    assert len(seen["axes"]) == panels and seen["clashes"] == []
    assert all(x and y for _, x, y in seen["axes"])
    if panels == 4:
        assert [x for _, x, _ in seen["axes"]] == ["noise level of the corpus"] * 2 + ["layers of the model"] * 2


def test_the_noise_figure_reads_facts_from_its_spec(study, tmp_path):
    facts = {
        name: {"family": "gptj", "noise": level, "layers": 4, "seed": 0, "corpus_seed": 0}
        for name, level in zip(synthetic.MODELS, (0.1, 0.8), strict=True)
    }
    cells = [(model, dataset) for dataset in ("worldfacts", "fever") for model in synthetic.MODELS]
    drawn = frames(make(study.folder, spec_of("noise", cells, protocols=["corrected"], facts=facts), tmp_path))
    assert [set(frame["dataset"]) for frame in drawn] == [{"worldfacts"}, {"fever"}]
    # The second model keeps base on worldfacts: its gain is 0, and no ρ is chosen.
    kept = drawn[0].query("trained_model == 'tiny-llama'").iloc[0]
    assert kept["gain"] == 0 and math.isnan(kept["rho"])
