"""What each comparison of base and LASER could show: detectable gains, equivalence, selection bias and constants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import with_interval
from laser.analysis.intervals import change_interval
from laser.analysis.power import HIGH, POWER, best_of_null, constant_by_kind, detectable_gain
from laser.analysis.stability import RESAMPLES, Scores, candidates_of, load_scores
from laser.analysis.statistics import best_constant, seed_sequence
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.config.artefacts import Artefact
from laser.config.pools import is_policy
from laser.config.protocols import SIGNIFICANCE
from laser.config.rules import rules
from laser.config.searches import lacks_candidates
from laser.errors import UserError
from laser.paper.published import Printed, read_published, read_table2
from laser.results.cells import METRICS, POLICY_METRICS, PairedCell, intervention_labels, option_labels

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _of_policies(plan: Plan) -> dict[str, Any]:
    return {"policies": any(map(is_policy, plan.study["models"]))}


ARTEFACT = Artefact(
    name="power",
    kind="table",
    title="What each comparison can show",
    about="detectable gains, equivalence, what choosing among null candidates shows, constant answers",
    reads=("test", "selection", "rows", "base", "sweep"),
    texts=("model", "dataset", "protocol", "matrix", "equivalence", "published_excluded"),
    settings=_of_policies,
    missing=lacks_candidates,
)

COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "kept_rank", "n", "groups", "base"),
    *("laser", "changed"),
    *("difference", "difference_low", "difference_high", "tests", "detectable", "detectable_holm", "equivalence"),
    *("published_gain", "published_excluded", "validation_n", "validation_groups", "candidates"),
    *("candidates_compared", "validation_gain", "null_best", "null_best_high", "null_p", "constant"),
    "constant_by_relation",
)
"""Columns of the CSV. Accuracy (rooms solved) in percent, gains in points.

`changed` is the share of test rows that changed between right and wrong; `tests` the number of paired tests of the
protocol in Table 1 or 2; `detectable` the smallest gain that a single test detects with a power of 80 %, and
`detectable_holm` the same at the first step of Holm's correction over all tests. `validation_gain` is the gain of the
chosen candidate; `null_best` is the mean gain of the best of `candidates_compared` candidates without an effect, and
`null_best_high` its 95 % quantile. Columns that depend on changes are empty where base was chosen."""

NO_CHANGE = "no change that matters"
NO_GAIN = "no gain that matters"
GAIN = "a gain"
OPEN = "open"
EQUIVALENCE_RULES = {
    NO_CHANGE: "the whole 95 % interval of the gain is within the margin on both sides.",
    NO_GAIN: "it lies below the margin.",
    GAIN: "it lies above 0.",
    OPEN: "it holds both 0 and gains that matter.",
}
"""Values of the column `equivalence`; the first that applies is used."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    policies, resamples = bool(study.spec["policies"]), min(RESAMPLES, study.resamples)
    published, of_rooms = read_published(), read_table2()
    tested = {cell.key: cell for cell in study.compared}
    lines = []
    for name in study.cells:
        selection = study.selections[name]
        order = selection["spec"]["grid"]["matrices"]
        among, groups = candidates_of(selection), study.groups(name[1])
        scores = load_scores(study.base(name), study.paths_of("sweep", name), groups, order, among)
        relations = study.rows(name[1], "id", "relation").set_index("id")["relation"]
        for protocol in study.protocols:
            cell = tested[*name, protocol]
            pair = [of_rooms.get(("accuracy", arm)) for arm in ("base", "laser")]
            if not policies:
                pair = [published.cell(*name, "accuracy", arm) for arm in ("base", "laser")]
            tests = len(study.cells) * len(POLICY_METRICS if policies else METRICS)
            line = on_test_rows(cell, tests, pair[0], pair[1])
            stream = seed_sequence(study.seed, *name, protocol, "power")
            line |= on_validation_rows(cell.chosen, scores[protocol], stream, resamples)
            line |= {} if policies else constants(cell, relations)
            lines.append(line)
    whole = dict.fromkeys(
        ("layer", "kept_rank", "validation_n", "validation_groups", "candidates", "candidates_compared"), "Int64"
    )
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(whole)


def on_test_rows(
    cell: PairedCell, tests: int, printed_base: Printed | None = None, printed: Printed | None = None
) -> dict[str, Any]:
    """Return what a cell's test rows could show, as columns.

    Args:
        cell: base and LASER.
        tests: number of tests in the family that Holm's correction covers.
        printed_base: the paper's accuracy of base for the cell, if it prints one.
        printed: the same for LASER.
    """
    groups = list(cell.rows["group"])
    base, laser = (cell.rows[f"{arm}_correct"].to_numpy(dtype="float64") for arm in ("base", "laser"))
    changes = laser - base
    gain, (low, high) = 100 * float(changes.mean()), (100 * bound for bound in change_interval(changes, groups))
    line: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "tests": tests}
    line |= intervention_labels(cell.chosen) | {"n": len(groups), "groups": len(set(groups))}
    line |= {"base": 100 * float(base.mean()), "laser": 100 * float(laser.mean())}
    line |= {"difference": gain, "difference_low": low, "difference_high": high, "equivalence": ""}
    printed_gain = math.nan if printed is None or printed_base is None else printed.value - printed_base.value
    line |= {"published_gain": printed_gain, "published_excluded": ""}
    if cell.chosen is None:
        return line
    line["changed"] = 100 * float((changes != 0).mean())
    line["detectable"] = 100 * detectable_gain(changes, groups)
    line["detectable_holm"] = 100 * detectable_gain(changes, groups, level=SIGNIFICANCE / tests)
    line["equivalence"] = equivalence(low, high)
    if printed is not None and printed_base is not None:
        slack = printed.half_unit + printed_base.half_unit
        line["published_excluded"] = "yes" if printed_gain + slack < low or printed_gain - slack > high else "no"
    return line


def equivalence(low: float, high: float) -> str:
    """Judge the bounds of a gain in accuracy (points) by `EQUIVALENCE_RULES`."""
    margin = rules().margins.accuracy
    if high < margin:
        return NO_CHANGE if low > -margin else NO_GAIN
    return GAIN if low > 0 else OPEN


def on_validation_rows(
    chosen: Mapping[str, Any] | None, scores: Scores, seed: Sequence[int], resamples: int
) -> dict[str, Any]:
    """Return the chosen candidate's gain on the rows that chose it, and the gain of the best null candidate."""
    line = {"validation_n": int(scores.sizes.sum()), "validation_groups": len(scores.sizes)}
    line["candidates"] = len(scores.candidates)
    if chosen is None:
        return line
    edit = (str(chosen["matrix"]), int(chosen["layer"]), float(chosen["rho"]))
    if edit not in scores.candidates:
        raise UserError(
            f"The selection file has {intervention(*edit)}, of which no sweep file holds rows. Delete it and run again."
        )
    at = scores.candidates.index(edit)
    gain = 100 * float((scores.correct[:, at] - scores.correct[:, -1]).sum() / scores.sizes.sum())
    null = best_of_null(scores, gain, seed, resamples)
    line |= {"candidates_compared": null.compared}
    return line | {"validation_gain": gain, "null_best": null.mean, "null_best_high": null.high, "null_p": null.p_value}


def constants(cell: PairedCell, relations: pd.Series) -> dict[str, float]:
    """Return the test accuracy of the best constant answer and, if rows have relations, of the best one per relation.

    Args:
        cell: base and LASER.
        relations: relation of every prepared row, by id.
    """
    answers = option_labels(cell.rows, "answer")
    best = best_constant(answers, bool(cell.rows["has_options"].any()))
    of_rows = relations.loc[cell.rows["id"]]
    by_relation = constant_by_kind(answers, list(of_rows)) if of_rows.notna().all() else math.nan
    return {"constant": best, "constant_by_relation": by_relation}


def views(frame: pd.DataFrame) -> list[View]:
    """Return, per protocol, a view of test rows and a view of validation rows."""
    made = []
    for protocol, rows in frame.groupby("protocol", sort=False):
        made += [_test_view(str(protocol), rows), _validation_view(str(protocol), rows)]
    return made


def _test_view(protocol: str, frame: pd.DataFrame) -> View:
    columns = ["Dataset", "Model", "Intervention", "n", "Groups", "LASER − base, points", "Rows changed, %"]
    columns += ["Detectable, points", "after Holm", "Equivalence", "Paper's gain", "excluded", "Base, %", "LASER, %"]
    columns += ["Constant answer, %", "one per relation, %"]
    rows = [
        [
            *(row["dataset"], row["model"], intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"])),
            *(integer(row["n"]), integer(row["groups"]), with_interval(row, 1, "difference", sign=True)),
            *(number(row[name], 1) for name in ("changed", "detectable", "detectable_holm")),
            *(row["equivalence"], number(row["published_gain"], 2, sign=True), row["published_excluded"]),
            *(number(row[name], 1) for name in ("base", "laser", "constant", "constant_by_relation")),
        ]
        for row in frame.to_dict("records")
    ]
    shown = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    words = " ".join(f"{word}: {rule}" for word, rule in EQUIVALENCE_RULES.items())
    notes = [
        f"Detectable: the smallest gain in accuracy that one paired test at {SIGNIFICANCE:g} finds with a power of "
        f"{100 * POWER:g} %, with rows changing sides as often as they did; after Holm: at {SIGNIFICANCE:g} over the "
        f"{integer(frame['tests'].iloc[0])} tests of the protocol.",
        f"Equivalence, with a margin (in points) of {rules().margins.accuracy:g}. {words}",
    ]
    if frame["published_gain"].notna().any():
        notes.append("Excluded: the paper's gain, rounding allowed for, lies outside the 95 % interval of ours.")
    title = f"What test rows can show, {protocol} protocol"
    cells = [[row[column] for column in shown] for row in rows]
    return View(f"power_{protocol}", title, [columns[column] for column in shown], cells, notes=notes)


def _validation_view(protocol: str, frame: pd.DataFrame) -> View:
    columns = ["Dataset", "Model", "Chosen", "n", "Groups", "Candidates", "compared", "Gain, points"]
    columns += ["Best of null candidates, mean", f"{100 * HIGH:g} % quantile", "p"]
    rows = [
        [
            *(row["dataset"], row["model"], intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"])),
            *(integer(row[name]) for name in ("validation_n", "validation_groups", "candidates")),
            *(integer(row["candidates_compared"]), number(row["validation_gain"], 1, sign=True)),
            *(number(row["null_best"], 1, sign=True), number(row["null_best_high"], 1, sign=True)),
            p_value(row["null_p"]),
        ]
        for row in frame.to_dict("records")
    ]
    notes = [
        "Gain: of the chosen candidate on the validation rows that chose it. Null candidates: base and candidates swap "
        "places in randomly drawn groups, for all candidates at once; those that are clearly worse than base take no "
        "part. p: how often the best null candidate gains as much.",
    ]
    title = f"What choosing alone shows, {protocol} protocol"
    return View(f"power_choice_{protocol}", title, columns, rows, notes=notes)
