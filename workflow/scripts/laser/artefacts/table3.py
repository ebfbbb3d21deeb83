"""Table 3: the intervention chosen on validation, beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import compare, with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, number
from laser.config.artefacts import Artefact
from laser.config.rules import rules
from laser.paper.published import Published, read_published
from laser.results.cells import PairedCell, intervention_labels, same_intervention
from laser.results.labelled import Labelled, aligned, by_cell

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _published_cells(plan: Plan) -> list[tuple[str, str]]:
    """Return the cells for which the paper's Table 3 has a choice."""
    return [cell for cell in plan.cells() if plan.published_choice(*cell)]


ARTEFACT = Artefact(
    name="table3",
    kind="table",
    title="Table 3",
    about="the chosen matrix, layer and rho, and what the published choice scores",
    reads=("test", "selection", "rows"),
    also_reads={"choices": _published_cells},
    texts=("model", "dataset", "protocol", "matrix", "paper_tau", "paper_matrix"),
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    frame = table3(list(study.selections.values()), read_published())
    return with_test_scores(frame, study.compared, study.labelled("choices", ("choice",)), study.seed, study.resamples)


FIXED = 12
"""Number of view columns that are always shown; columns on test rows follow if they were evaluated."""


def _shares(candidates: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the shares of candidates beyond the middle layer and with a severe ρ: the hit rates of a random choice."""
    if not candidates:
        return {"late_candidates": math.nan, "severe_candidates": math.nan}
    layers = [each["layer"] for each in candidates]
    middle = (min(layers) + max(layers)) / 2
    severe = sum(each["rho"] <= rules().severe for each in candidates)
    return {
        "late_candidates": sum(layer > middle for layer in layers) / len(layers),
        "severe_candidates": severe / len(candidates),
    }


def table3(selections: Sequence[Mapping[str, Any]], published: Published | None = None) -> pd.DataFrame:
    """Compute Table 3: the intervention chosen on validation, per model, dataset and protocol.

    Args:
        selections: selection files as read by `laser.results.loading.load_selections`.
        published: the paper's choices, or None.

    Returns:
        A frame with model, dataset, protocol, matrix, layer, rho, kept_rank (empty where base was chosen), validation
        accuracy (percent) and loss (nats) of base and of the choice, n, number of candidates, first and last layer
        searched, the shares of candidates beyond the middle of these layers and with a ρ that config/claims.yaml calls
        severe, the paper's choice, and whether the two choices are the same (<NA> where the paper has none).
    """
    published = published or Published()
    rows = []
    for selection in selections:
        paper = published.choice(selection["model"], selection["dataset"])
        for protocol, selected in selection["protocols"].items():
            chosen = selected["chosen"]
            validation = selected["validation"]
            best = validation.get("chosen") or validation["base"]
            row: dict[str, Any] = {"model": selection["model"], "dataset": selection["dataset"], "protocol": protocol}
            row |= {
                **intervention_labels(chosen),
                "validation_accuracy": best["accuracy"],
                "validation_loss": best["loss"],
                "validation_accuracy_base": validation["base"]["accuracy"],
                "validation_loss_base": validation["base"]["loss"],
                "n": validation["base"]["n"],
                "candidates": len(selected["candidates"]),
                "first_layer": min((each["layer"] for each in selected["candidates"]), default=None),
                "last_layer": max((each["layer"] for each in selected["candidates"]), default=None),
                **_shares(selected["candidates"]),
                "paper_tau": paper["tau"] if paper else "",
                "paper_matrix": paper["matrix"] if paper else "",
                "paper_layer": paper["layer"] if paper else None,
                "paper_rho": paper["rho"] if paper else math.nan,
                "paper_kept_rank": paper["kept_rank"] if paper else None,
                "same_as_paper": same_intervention(chosen, paper) if paper else None,
            }
            rows.append(row)
    whole = dict.fromkeys(
        ("layer", "kept_rank", "paper_layer", "paper_kept_rank", "first_layer", "last_layer"), "Int64"
    )
    return pd.DataFrame(rows).astype(whole | {"same_as_paper": "boolean"})


TEST_COLUMNS = (
    *("test_n", "test_accuracy_base", "test_accuracy", "test_accuracy_low", "test_accuracy_high"),
    *("paper_test_accuracy", "paper_test_accuracy_low", "paper_test_accuracy_high"),
    *("paper_gain", "paper_gain_low", "paper_gain_high", "paper_gain_p"),
)
"""Columns on test rows: base, our choice, and the paper's choice, with its gain over base and a paired test."""


def with_test_scores(
    frame: pd.DataFrame,
    cells: Sequence[PairedCell],
    choices: Sequence[Labelled] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Add to Table 3 the scores of the choices on test rows (accuracy in percent, gains in points).

    Args:
        frame: the frame that `table3` returned.
        cells: test results (`laser.results.loading.load_cells`); cells without test results stay empty.
        choices: test rows at given choices (label `choice`); `published` is the paper's choice.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        The frame with the columns `TEST_COLUMNS` appended, NaN where nothing was evaluated.

    Raises:
        UserError: a choice was scored on other rows than the test file.
    """
    chosen, tested = by_cell(choices), {cell.key: cell for cell in cells}
    lines = []
    for row in frame.to_dict("records"):
        key = (row["model"], row["dataset"], row["protocol"])
        line: dict[str, Any] = dict.fromkeys(TEST_COLUMNS, math.nan)
        if key in tested:
            cell = tested[key]
            groups, base = list(cell.rows["group"]), cell.rows["base_correct"]
            settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
            # The same names as in Table 1, so that equal rows have equal intervals in both tables.
            ours = compare(base, cell.rows["laser_correct"], groups, (*key, "accuracy"), **settings)
            line |= {"test_n": ours["n"], "test_accuracy_base": ours["base"], "test_accuracy": ours["laser"]}
            line |= {f"test_accuracy_{side}": ours[f"laser_{side}"] for side in ("low", "high")}
            theirs = chosen[key].arm(choice="published") if key in chosen else pd.DataFrame()
            if not theirs.empty:
                scored = aligned(cell, theirs, "The paper's choice")["correct"].to_numpy(dtype=bool)
                at_papers = compare(base, scored, groups, (*key, "accuracy", "paper's choice"), **settings)
                line |= {f"paper_test_accuracy{end}": at_papers[f"laser{end}"] for end in ("", "_low", "_high")}
                line |= {f"paper_gain{end}": at_papers[f"difference{end}"] for end in ("", "_low", "_high")}
                line["paper_gain_p"] = at_papers["p_value"]
        lines.append(line)
    added = pd.DataFrame(lines, columns=list(TEST_COLUMNS), index=frame.index).astype({"test_n": "Int64"})
    return pd.concat([frame, added], axis=1)


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view of Table 3 per protocol."""
    columns = ["Dataset", "Model", "Chosen [τ, ℓ, ρ]", "Kept rank", "Validation accuracy, %", "of base, %"]
    columns += ["Validation loss, nats", "of base, nats", "n", "Candidates", "Paper [τ, ℓ, ρ]", "Same"]
    columns += ["Test accuracy, %", "of base, %", "at the paper's choice, %", "its gain, points", "Test n"]
    views = []
    for protocol in dict.fromkeys(frame["protocol"]):
        rows = [
            [
                row["dataset"],
                row["model"],
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                integer(row["kept_rank"]),
                number(row["validation_accuracy"], 1),
                number(row["validation_accuracy_base"], 1),
                number(row["validation_loss"], 2),
                number(row["validation_loss_base"], 2),
                integer(row["n"]),
                integer(row["candidates"]),
                intervention(row["paper_tau"], row["paper_layer"], row["paper_rho"]) if row["paper_tau"] else "",
                "" if pd.isna(row["same_as_paper"]) else ("yes" if row["same_as_paper"] else "no"),
                *_tested(row),
            ]
            for row in frame[frame["protocol"] == protocol].to_dict("records")
        ]
        notes = [
            "τ is the matrix, ℓ the layer counted from 0, ρ the fraction of the maximum rank that is kept.",
            "base: no intervention beat the unmodified model on validation.",
        ]
        if (frame.loc[frame["protocol"] == protocol, "kept_rank"] == 0).any():
            notes.append("A kept rank of 0 is no low rank: the whole matrix is removed.")
        if (frame["paper_matrix"] != frame["paper_tau"].str.lower()).any():
            notes.append("The paper's U_in is the gate projection u_gate in Llama2.")
        title = f"Table 3. Interventions chosen on validation rows, {protocol} protocol"
        shown = [column for column in range(len(columns)) if column < FIXED or any(row[column] for row in rows)]
        if len(shown) > FIXED:
            notes.append("Brackets: 95 % interval (docs/statistics.md). Test rows played no part in any choice.")
        rows = [[row[column] for column in shown] for row in rows]
        views.append(View(f"table3_{protocol}", title, [columns[column] for column in shown], rows, notes=notes))
    return views


def _tested(row: Mapping[Any, Any]) -> list[str]:
    """Return the cells of the columns on test rows; empty if these were not added."""
    if "test_n" not in row:
        return [""] * 5
    return [
        with_interval(row, 1, "test_accuracy"),
        number(row["test_accuracy_base"], 1),
        with_interval(row, 1, "paper_test_accuracy"),
        with_interval(row, 1, "paper_gain", sign=True),
        integer(row["test_n"]),
    ]
