import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from laser.analysis import statistics, tables
from laser.analysis.tables import View, intervention, mark_parts, mark_quantised
from laser.artefacts.table1 import COLUMNS, table1
from laser.artefacts.table1 import views as table1_views
from laser.artefacts.table3 import table3
from laser.artefacts.table3 import views as table3_views
from laser.artefacts.table4 import table4
from laser.artefacts.table4 import views as table4_views
from laser.artefacts.table5 import table5
from laser.artefacts.table5 import views as table5_views
from laser.config.artefacts import declared
from laser.errors import UserError
from laser.paper.published import Published, printed, read_published
from laser.results import loading
from laser.results.averages import mean_scores
from laser.results.cells import PairedCell
from tests.artefacts import synthetic

TEXTS = declared()["table1"].texts + declared()["table3"].texts
BETTER = {"matrix": "u_in", "layer": 3, "rho": 0.1, "kept_rank": 4}


def cell(base, laser, chosen=BETTER, groups=None, **changes):
    count = len(base)
    rows = {
        "id": [str(index) for index in range(count)],
        "group": groups or [str(index) for index in range(count)],
        "answer": [" Paris" if index % 4 else " Rome" for index in range(count)],
        "has_options": False,
        "answer_in_prompt": [index < count // 4 for index in range(count)],
    }
    for arm, correct in (("base", base), ("laser", laser)):
        rows[f"{arm}_correct"] = np.array(correct, dtype=bool)
        rows[f"{arm}_loss"] = 2.0 - 0.5 * np.array(correct)
        rows[f"{arm}_prediction"] = ["Paris"] * count
    given = {"model": "m", "dataset": "d", "protocol": "corrected", "dtype": "fp32", "complete": True}
    return PairedCell(rows=pd.DataFrame(rows), chosen=chosen, **(given | changes))


def test_rows_that_were_not_asked_are_counted_and_named():
    cells = [cell([True, False], [True, True]), cell([True], [False], dataset="e", left_out=3)]
    frame = table1(cells)
    assert tuple(frame.columns) == (*COLUMNS, "left_out")
    assert frame.groupby("dataset")["left_out"].unique().map(list).to_dict() == {"d": [0], "e": [3]}
    (view,) = table1_views(frame)
    assert next(note for note in view.notes if "not asked" in note).endswith(": m on e: 3 of 4.")
    assert "left_out" not in table1(cells[:1]).columns


@pytest.mark.parametrize("chosen", [BETTER, None])
def test_false_targets_have_columns_where_there_are_any(chosen):
    scores = {"base": [-1.0, -4.0, -4.0, -2.0], "laser": [-0.5, -1.0, -5.0, -3.0]}
    others = {"base": [-2.0, -2.0, -1.0, -3.0], "laser": [-1.0, -2.5, -0.5, -3.5]}
    scored = cell([True] * 4, [True] * 4, chosen)
    for arm, values in scores.items():
        scored.rows[f"{arm}_logprob"], scored.rows[f"{arm}_answer_tokens"] = values, 1
    labels = {"protocol": "corrected", "answer_tokens": 1, "id": list("0123")}
    false = pd.concat([pd.DataFrame({**labels, "arm": arm, "logprob": values}) for arm, values in others.items()])
    frame = table1([scored, cell([True], [True], dataset="e")], false={("m", "d"): false})
    assert tuple(frame.columns) == (*COLUMNS, "efficacy", "efficacy_n", *(["false_rises"] if chosen else []))
    base, laser = frame[(frame["dataset"] == "d") & (frame["metric"] == "accuracy")].to_dict("records")
    assert (base["efficacy"], laser["efficacy"], base["efficacy_n"], laser["efficacy_n"]) == (50, 75, 4, 4)
    if chosen:
        assert laser["false_rises"] == 50 and math.isnan(base["false_rises"])
    assert frame[(frame["dataset"] == "e") | (frame["metric"] == "loss")]["efficacy"].isna().all()


def test_the_numbers_are_those_of_the_rows():
    base, laser = [True] * 10 + [False] * 30, [True] * 25 + [False] * 15
    frame = table1([cell(base, laser)])
    assert tuple(frame.columns) == COLUMNS
    first, second, third, fourth = frame.to_dict("records")
    assert (first["metric"], first["arm"], first["value"], first["n"]) == ("accuracy", "base", 25.0, 40)
    assert (second["arm"], second["value"], second["difference"]) == ("laser", 62.5, 37.5)
    assert second["p_value"] == pytest.approx(2 / 2**15)
    assert (third["metric"], third["value"], fourth["value"]) == ("loss", 1.875, 1.6875)
    assert (second["matrix"], second["layer"], second["rho"]) == ("u_in", 3, 0.1)
    assert first["constant"] == 75.0 and first["answer_in_prompt"] == 25.0
    assert json.loads(first["prediction_shares"]) == {"Paris": 1.0}
    assert math.isnan(first["p_value"]) and math.isnan(first["difference"]) and first["matrix"] == ""
    assert first["low"] < first["value"] < first["high"]


def test_dependent_rows_widen_intervals_and_weaken_p_values():
    base, laser = [True] * 10 + [False] * 30, [True] * 25 + [False] * 15
    alone = table1([cell(base, laser)]).to_dict("records")
    grouped = table1([cell(base, laser, groups=[str(index // 5) for index in range(40)])]).to_dict("records")
    for first, second in zip(alone, grouped, strict=True):
        assert first["value"] == second["value"]
        assert second["high"] - second["low"] > 1.5 * (first["high"] - first["low"])
    # Three of eight groups change, all upwards: 2 / 2^3.
    assert [row["p_value"] for row in grouped if row["arm"] == "laser"] == [0.25, 0.25]
    assert alone[1]["p_value"] < 0.001


def test_bold_follows_the_adjusted_p_value():
    base, laser = [False] * 40, [True] * 6 + [False] * 34
    one = table1([cell(base, laser)])
    several = table1([cell(base, laser, dataset=name) for name in "abcd"])
    assert set(several["p_value"].dropna()) == {2 / 2**6}
    assert several["p_holm"].dropna().min() > 0.05
    assert one["p_holm"].dropna().min() > 0.05 > one["p_value"].dropna().max()
    assert table1_views(several)[0].bold == table1_views(one)[0].bold == set()


def test_prompts_that_name_the_options_are_not_counted_as_giving_the_answer_away():
    one = cell([True, False] * 10, [True, True] * 10)
    one.rows["has_options"] = True
    assert table1([one])["answer_in_prompt"].isna().all()


def test_holm_runs_over_all_tests_of_one_protocol_and_no_other():
    base, laser = [True] * 10 + [False] * 30, [True] * 22 + [False] * 18
    one = [cell(base, laser)]
    two = [*one, cell(base, laser, dataset="e"), cell(base, laser, protocol="published")]
    alone, beside = table1(one), table1(two)
    raw = list(beside.loc[(beside["protocol"] == "corrected") & (beside["arm"] == "laser"), "p_value"])
    adjusted = list(beside.loc[(beside["protocol"] == "corrected") & (beside["arm"] == "laser"), "p_holm"])
    assert adjusted == statistics.holm(raw)
    published = beside[beside["protocol"] == "published"].reset_index(drop=True)
    assert list(published["p_holm"].dropna()) == pytest.approx(list(alone["p_holm"].dropna()), rel=0.2)


def test_where_base_was_chosen_laser_equals_base():
    base = [True] * 10 + [False] * 30
    frame = table1([cell(base, base, chosen=None)])
    first, second = frame.to_dict("records")[:2]
    assert all(first[key] == second[key] for key in ("value", "low", "high"))
    assert (second["p_value"], second["difference"], second["verdict"]) == (1.0, 0.0, "")
    assert second["matrix"] == "" and pd.isna(second["layer"])
    assert table1_views(frame)[0].rows[0][-1] == "base"


def test_the_better_arm_is_bold_only_if_significant():
    fewer, more = [True] * 10 + [False] * 30, [True] * 30 + [False] * 10
    for base, laser, column in ((fewer, more, "LASER"), (more, fewer, "Base")):
        (view,) = table1_views(table1([cell(base, laser)]))
        assert view.bold == {(line, view.columns.index(column)) for line in (0, 1)}
    (view,) = table1_views(table1([cell(fewer, [True] * 12 + [False] * 28)]))
    assert view.bold == set()


def test_a_verdict_follows_the_published_number_and_not_a_dataset_cut_short():
    published = Published(
        models={"m": "M"},
        datasets={"d": "D"},
        table1={("M", "D", "accuracy", "base"): printed("25.0"), ("M", "D", "accuracy", "laser"): printed("62.5")},
        table4={"D": {"size": 50, "validation": 10, "test": 40}},
    )
    base, laser = [True] * 10 + [False] * 30, [True] * 25 + [False] * 15
    whole = table1([cell(base, laser)], published)
    # An interval over 40 rows is wider than the margin; on the same rows the value alone counts.
    assert list(whole["verdict"]) == ["undecided", "undecided", "", ""]
    same = table1([cell(base, laser, protocol="published")], published)
    assert list(same["verdict"]) == ["replicated", "replicated", "", ""]
    assert list(whole["shows"]) == ["a constant answer does as well"] * 2 + ["", ""]
    assert whole["published_p_high"].iloc[1] < 0.05
    assert list(whole["published"])[:2] == [25.0, 62.5]
    cut = table1([cell(base, laser, complete=False)], published)
    assert list(cut["verdict"]) == ["not run", "not run", "", ""]
    part = table1([cell(base, laser, complete=False, partial=True)], published)
    assert list(part["verdict"]) == ["part of the paper's rows"] * 2 + ["", ""]


def test_every_view_names_the_datasets_of_which_only_a_part_was_had():
    views = [View("one", "One", ["a"], [], notes=["first"]), View("two", "Two", ["a"], [])]
    frame = pd.DataFrame({"dataset": ["d", "fever"]})
    marked = mark_parts(views, frame, {"fever": "a half", "elsewhere": "a third"})
    note = "Part of the paper's rows: fever (a half)."
    assert [view.notes for view in marked] == [["first", note], [note]]
    both = mark_parts(views[1:], frame, {"d": "mine", "fever": "a half"})
    assert both[0].notes == [note, "Part of the rows: d (mine)."]
    assert mark_parts(views, frame, {"elsewhere": "a third"}) == mark_parts(views, pd.DataFrame(), {"d": "x"}) == views


def test_a_table_without_published_cells_has_no_columns_for_them():
    (view,) = table1_views(table1([cell([True, False] * 10, [True, True] * 10)]))
    assert not [name for name in view.columns if name.startswith(("Paper", "Ours"))]
    assert all(len(row) == len(view.columns) for row in view.rows)


def test_two_runs_write_the_same_bytes_and_another_seed_other_intervals(tmp_path):
    study = synthetic.build(tmp_path / "study", examples=60)
    published = read_published()

    def made(name, seed):
        cells = loading.load_cells(study.tests, study.selections, study.rows)
        frame = table1(cells, published, seed=seed, resamples=300)
        return [path.read_bytes() for path in tables.write_table(tmp_path / name, "table1", frame, table1_views(frame))]

    assert made("a", 0) == made("b", 0)
    assert made("a", 0) != made("c", 1)


def test_other_results_give_other_numbers_everywhere(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    cells = loading.load_cells(study.tests, study.selections, study.rows)
    before = table1(cells, resamples=300)
    for one in cells:
        one.rows["base_loss"] += 0.25
        one.rows["base_correct"] = ~one.rows["base_correct"]
    after = table1(cells, resamples=300)
    base = before["arm"] == "base"
    for name in ("value", "low", "high"):
        assert (before.loc[base, name] != after.loc[base, name]).all()
    changed = (before["arm"] == "laser") & (before["matrix"] != "")
    assert (before.loc[changed, "difference"] != after.loc[changed, "difference"]).all()


def test_csv_keeps_every_digit(tmp_path):
    base, laser = [True] * 7 + [False] * 30, [True] * 20 + [False] * 17
    frame = table1([cell(base, laser)])
    path = tables.write_table(tmp_path, "table1", frame, [])[0]
    back = tables.read_table(path, TEXTS)
    for name in ("value", "low", "high", "difference", "p_value", "answer_in_prompt"):
        assert [*map(repr, back[name])] == [*map(repr, frame[name])], name
    for name in ("matrix", "verdict", "prediction_shares"):
        assert list(back[name]) == list(frame[name])
    (view,), (again,) = table1_views(frame), table1_views(back)
    assert view == again
    with pytest.raises(UserError, match=r"none\.csv"):
        tables.read_table(tmp_path / "none.csv", ())


def test_table3_stands_beside_the_papers_choice(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    frame = table3(loading.load_selections(study.selections), read_published())
    gptj = frame[(frame["model"] == "gpt-j-6b") & (frame["dataset"] == "fever")].iloc[0]
    assert (gptj["paper_matrix"], gptj["paper_layer"], gptj["paper_rho"]) == ("u_in", 24, 0.01)
    assert (gptj["matrix"], gptj["layer"], gptj["same_as_paper"]) == ("u_in", 5, False)
    assert pd.isna(frame.iloc[-1]["same_as_paper"])
    views = {view.name: view for view in table3_views(frame)}
    assert views["table3_corrected"].rows[-1][2] == "base"
    assert views["table3_published"].rows[-1][2] == "[u_in, 5, 0.01]"
    path = tables.write_table(tmp_path, "table3", frame, [])[0]
    assert table3_views(tables.read_table(path, TEXTS)) == table3_views(frame)


def test_the_same_choice_as_the_papers_is_recognised():
    chosen = {"matrix": "u_gate", "layer": 30, "rho": 0.2, "kept_rank": 819}
    scores = {"accuracy": 60.0, "loss": 1.0, "n": 10}
    selection = {
        "model": "llama2-7b",
        "dataset": "fever",
        "protocols": {
            "published": {"chosen": chosen, "validation": {"base": scores, "chosen": scores}, "candidates": [chosen]}
        },
    }
    frame = table3([selection], read_published())
    assert list(frame["same_as_paper"]) == [True]
    assert any("u_gate" in note for note in table3_views(frame)[0].notes)
    assert list(frame["late_candidates"]) == [0.0] and list(frame["severe_candidates"]) == [0.0]


@pytest.mark.parametrize(("kept_rank", "removed"), [(0, True), (1, False), (None, False)])
def test_a_kept_rank_of_0_is_said_to_be_the_removal_of_the_matrix(kept_rank, removed):
    scores = {"accuracy": 60.0, "loss": 1.0, "n": 10}
    grid = [{"matrix": "u_in", "layer": layer, "rho": rho} for layer in (0, 1, 4) for rho in (0.9, 0.1, 0.01, 0.005)]
    chosen = None if kept_rank is None else grid[-1] | {"kept_rank": kept_rank}
    validation = {"base": scores, "chosen": scores}
    protocols = {"corrected": {"chosen": chosen, "validation": validation, "candidates": grid}}
    frame = table3([{"model": "m", "dataset": "d", "protocols": protocols}])
    assert any("whole matrix is removed" in note for note in table3_views(frame)[0].notes) is removed
    # What a candidate drawn at random would be: one of three layers beyond the middle, three of four ρ severe.
    assert list(frame["late_candidates"]) == pytest.approx([1 / 3])
    assert list(frame["severe_candidates"]) == pytest.approx([3 / 4])


def test_table4_counts_rows_and_groups(tmp_path):
    study = synthetic.build(tmp_path, examples=60)
    rows = loading.load_rows(study.rows)
    frame = table4(rows, read_published())
    fever, facts = frame.to_dict("records")
    assert (fever["size"], fever["validation_published"], fever["test_published"]) == (60, 12, 48)
    assert fever["difference"] == 60 - fever["paper_size"]
    assert (facts["groups"], facts["validation_corrected"], facts["test_corrected"]) == (20, 12, 48)
    assert pd.isna(facts["paper_size"]) and pd.isna(facts["limit"])
    assert [row[0] for row in table4_views(frame)[0].rows] == ["fever", "worldfacts"]


def test_table5_notes_what_the_papers_own_table_leaves_out():
    published = read_published()
    grid = {
        "gpt-j-6b": {"matrices": ["u_in"], "layers": [0, 1]},
        "own": {"matrices": ["q"], "layers": [0], "rhos": [0.5]},
    }
    frame = table5(grid, [0.9, 0.05], published)
    assert list(frame["values"]) == ["u_in", "0 1", "0.9 0.05", "q", "0", "0.5"]
    assert list(frame["count"]) == [1, 2, 2, 1, 1, 1]
    (view,) = table5_views(frame)
    cells = sum(choice["rho"] == 0.4 for choice in published.table3.values())
    assert f"ρ = 0.4 in {cells} of {len(published.table3)} cells, which its Table 5 does not list" in view.notes[0]


HOSTILE = View(
    "hostile", r"50 % of {a}_b & \c", ["<b>", "a|b"], [["[x] ~^$#", "−1\n2"], ["*", ""]], bold={(0, 0), (1, 1)}
)


def test_latex_is_escaped():
    text = tables.to_latex(HOSTILE)
    assert r"50 \% of \{a\}\_b \& \textbackslash{}c" in text
    assert r"\textbf{{[x] \textasciitilde{}\textasciicircum{}\$\#}} & $-$1 2 \\" in text
    assert r"\textless{}b\textgreater{}" in text
    assert r"* &  \\" in text
    assert text.count("{") == text.count("}")


def test_a_long_table_is_continued_in_latex():
    rows = [[str(i), "x"] for i in range(tables.LATEX_ROWS * 2 + 1)]
    text = tables.to_latex(View("long-one", "Long", ["i", "x"], rows, bold={(len(rows) - 1, 0)}, notes=["Once."]))
    parts = text.split("% continued\n")
    assert [part.count(r" \\") - 1 for part in parts] == [33, 34, 34]
    assert [part.count("Once.") for part in parts] == [1, 0, 0]
    assert r"\label{tab:long-one}" in parts[0] and r"\label{tab:long-one-3}" in parts[2]
    assert r"\textbf{100} & x" in parts[2] and all(r"i & x \\" in part for part in parts)


def test_markdown_keeps_its_columns_whatever_the_cells_hold():
    lines = [line for line in tables.to_markdown(HOSTILE).splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert all(len([c for i, c in enumerate(line) if c == "|" and line[i - 1] != "\\"]) == 3 for line in lines)
    assert r"\<b\>" in lines[0] and r"a\|b" in lines[0]
    assert lines[2] == "| **\\[x\\] ~^$#** | −1 2 |"


def test_rounding_for_reading():
    assert tables.number(-0.04, 1) == "0.0"
    assert tables.number(-1.25, 1, sign=True) == "−1.2"
    assert tables.number(3.14159, 2, sign=True) == "+3.14"
    assert tables.number(math.nan, 1) == tables.integer(pd.NA) == tables.p_value(None) == ""
    assert tables.integer(12.0) == "12"
    assert tables.p_value(0.0004) == "<0.001" and tables.p_value(0.0312) == "0.031"


def test_rows_on_which_an_arm_overflows_are_left_out_of_the_loss_and_named():
    """They count as wrong: the accuracy is over all rows, the loss over those that have one in both arms."""
    whole = cell([True] * 10 + [False] * 30, [True] * 25 + [False] * 15, dtype="fp16")
    gaps = cell([True] * 10 + [False] * 30, [True] * 25 + [False] * 15, dtype="fp16")
    gaps.rows.loc[38, "base_loss"] = gaps.rows.loc[39, "laser_loss"] = math.nan
    frame = table1([gaps])
    accuracy, loss = frame[frame["metric"] == "accuracy"], frame[frame["metric"] == "loss"]
    assert list(accuracy["n"]) == [40, 40] and list(loss["n"]) == [38, 38]
    left = whole.rows.iloc[:38]
    assert list(loss["value"]) == [left["base_loss"].mean(), left["laser_loss"].mean()]
    assert loss["p_value"].iloc[1] == table1([replace(whole, rows=left)]).query("metric == 'loss'")["p_value"].iloc[1]
    assert any("m on d: 2 of 40 (fp16)" in note for note in table1_views(frame)[0].notes)
    assert not any("overflow" in note for note in table1_views(table1([whole]))[0].notes)


def test_a_cell_of_which_no_row_has_a_loss_has_none():
    nothing = cell([False] * 4, [False] * 4)
    nothing.rows["laser_loss"] = math.nan
    both = table1([nothing, cell([True] * 10 + [False] * 30, [True] * 25 + [False] * 15, model="other")])
    own = both[(both["metric"] == "loss") & (both["model"] == "m")]
    assert (
        own[["value", "low", "high", "difference", "p_value", "p_holm"]].isna().all(axis=None) and (own["n"] == 0).all()
    )
    assert table1_views(both)[0].rows


@pytest.mark.parametrize("missing", [math.nan, math.inf])
def test_the_mean_loss_of_an_edit_that_overflows_on_one_row_is_none(missing):
    frame = pd.DataFrame({"rho": [0.5, 0.5, 0.1, 0.1], "id": list("abab"), "correct": True, "loss": [1, 3, 1, missing]})
    frame = frame.assign(answer_rank=[1, 7, 1, math.nan], in_top5=True, in_top10=True)
    low, high = mean_scores(frame, ["rho"]).to_dict("records")
    assert high["loss"] == 2 and math.isnan(low["loss"]) and low["n"] == 2
    assert (low["first_top1"], low["first_top10"]) == (50.0, 50.0)


@pytest.mark.parametrize("column", ["model", "run_model"])
def test_a_model_whose_weights_were_quantised_before_is_marked_where_it_stands(column):
    frame = pd.DataFrame({column: ["small", "other"]})
    views = [View("t", "Title", ["Model"], [["small"]], notes=["First."]), View("u", "Other", ["Model"], [])]
    marked = mark_quantised(views, frame, {"small": "4 bits (Q4_1)", "elsewhere": "8 bits"})
    note = "Weights quantised before they came here: small (4 bits (Q4_1))."
    assert [view.notes for view in marked] == [["First.", note], [note]]
    assert mark_quantised(views, frame, {"elsewhere": "8 bits"}) == mark_quantised(views, frame, {}) == views
    assert mark_quantised(views, pd.DataFrame(), {"small": "4 bits"}) == views


@pytest.mark.parametrize("kept_rank", [0, 0.0, "0"])
def test_a_kept_rank_of_nothing_is_said_to_be_a_deletion(kept_rank):
    assert intervention("u_in", 3, 0.005, kept_rank) == "[u_in, 3, 0.005] (rank 0: the whole matrix is removed)"


@pytest.mark.parametrize("kept_rank", [None, 1, 1.0, float("nan"), pd.NA])
def test_any_other_kept_rank_is_not(kept_rank):
    assert intervention("u_in", 3, 0.005, kept_rank) == "[u_in, 3, 0.005]"
    assert intervention("", None, None, kept_rank) == "base"
