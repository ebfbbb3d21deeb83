"""Table 1: accuracy and loss of base and LASER on held-out rows, with the numbers needed to judge them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from laser.analysis.comparison import DIFFERENCE, adjust, compare, with_interval
from laser.analysis.statistics import RESAMPLES, best_constant, shares
from laser.analysis.tables import View, integer, intervention, measure, number, p_value
from laser.analysis.verdicts import agreement, shown
from laser.artefacts import efficacy
from laser.config.artefacts import Artefact
from laser.config.protocols import SIGNIFICANCE
from laser.paper.published import Printed, Published, read_published
from laser.results.cells import ARMS, METRICS, PairedCell, intervention_labels, option_labels
from laser.results.columns import read_columns

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import CellName
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _cells_with_false_targets(plan: Plan) -> Sequence[CellName]:
    return efficacy.ARTEFACT.cells(plan) if efficacy.ARTEFACT.name in plan.study["artefacts"] else []


ARTEFACT = Artefact(
    name="table1",
    kind="table",
    title="Table 1",
    about="accuracy and loss of base and LASER, test rows",
    reads=("test", "selection", "rows"),
    also_reads={"efficacy": _cells_with_false_targets},
    texts=("model", "dataset", "metric", "arm", "matrix", "protocol", "prediction_shares", "shows", "verdict", "dtype"),
    not_for_policies="a policy's Table 1 is table2",
)


def make(study: StudyResults) -> pandas.DataFrame:
    """Compute the table from a study's files."""
    false = {
        cell: read_columns(study.path_of("efficacy", cell), ["protocol", "arm", "id", *efficacy.SCORES])
        for cell in study.cells_of("efficacy")
    }
    cells = study.compared_with(efficacy.SCORES) if false else study.compared
    return table1(cells, read_published(), study.seed, study.resamples, false=false)


COLUMNS = (
    *("model", "dataset", "metric", "arm", "value", "low", "high", "n", "p_value", "constant", "matrix", "layer"),
    *("rho", "kept_rank", "protocol", "difference", "difference_low", "difference_high", "p_holm", "prediction_shares"),
    *("answer_in_prompt", "published", "shows", "published_p_low", "published_p_high", "verdict", "dtype"),
)
"""Columns of the CSV, in order. Accuracy, `constant` and `answer_in_prompt` in percent, loss in nats per answer token;
differences are LASER minus base; `low` and `high` bound a 95 % interval. `answer_in_prompt` is over rows with open
answers (a prompt with options names the answer by design). `shows` is what the published number shows on its own, with
the smallest and the largest p value that it allows; `verdict` is whether ours agrees."""

OPTIONAL = ("left_out", "efficacy", "efficacy_n", "false_rises")
"""Optional columns, each added at the end of the CSV if any row has a value. `left_out` counts test rows that the model
was not asked, mostly because they exceed its length limit. The others are filled in accuracy rows of datasets with
false targets: `efficacy` is the percentage of `efficacy_n` rows whose true answer is more probable than the false one,
and `false_rises` (LASER only) the percentage whose false answer the intervention makes more probable. The table
`efficacy` has intervals and more."""

TOP_PREDICTIONS = 8

SHOWN = 10
"""Number of view columns that are always shown; columns on the paper follow if the paper has the cell."""


def table1(
    cells: Sequence[PairedCell],
    published: Published | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    metrics: Sequence[str] = METRICS,
    false: Mapping[CellName, pandas.DataFrame] | None = None,
) -> pandas.DataFrame:
    """Compute Table 1 in long form: a row per model, dataset, protocol, metric and arm.

    Intervals are those of `laser.analysis.comparison`; the p value comes from McNemar's exact test for accuracy (the
    group-wise sign-flip test if groups have several rows) and from the sign-flip test for loss. Holm's correction
    covers all p values of one protocol. If selection kept the base model, LASER equals base: difference 0, p value 1.

    Args:
        cells: per-example results, in display order.
        published: the paper's numbers, or None.
        seed: seed of the study; every quantity draws from its own random stream.
        resamples: number of resamples of the bootstrap and the permutation test.
        metrics: metrics that get rows (`laser.results.cells`).
        false: maps (model, dataset) to the scores of false targets (`laser.artefacts.efficacy`).

    Returns:
        A frame with the columns `COLUMNS` and those of `OPTIONAL` that apply, unrounded; texts are empty and numbers
        NaN where nothing applies.
    """
    import pandas as pd

    published = published or Published()
    rows: list[dict[str, Any]] = []
    for cell in cells:
        sizes = published.sizes(cell.dataset)
        of_targets = (false or {}).get((cell.model, cell.dataset))
        further = {} if of_targets is None else efficacy.shares_of(cell, of_targets)
        for metric in metrics:
            printed = {arm: published.cell(cell.model, cell.dataset, metric, arm) for arm in ARMS}
            for row in _rows(cell, metric, printed, seed, resamples):
                row |= {"left_out": cell.left_out} | (further.get(row["arm"], {}) if metric == "accuracy" else {})
                row |= judged(
                    row,
                    printed[row["arm"]],
                    printed["base"],
                    published_n=sizes["test"] if sizes else None,
                    complete=cell.complete,
                    part=cell.partial,
                )
                rows.append(row)
    adjust(rows)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *OPTIONAL])
    frame = frame.astype(dict.fromkeys(("layer", "kept_rank", "left_out", "efficacy_n"), "Int64"))
    apply = {"left_out": bool((frame["left_out"] > 0).any())}
    return frame.drop(columns=[name for name in OPTIONAL if not apply.get(name, bool(frame[name].notna().any()))])


def judged(
    row: Mapping[str, Any],
    printed: Printed | None,
    printed_base: Printed | None,
    *,
    published_n: int | None,
    complete: bool,
    part: bool = False,
) -> dict[str, Any]:
    """Return what the printed number of a row's arm shows, and whether ours agrees, as columns.

    Args:
        row: a row of Table 1 or 2.
        printed: the printed number of the row's arm, or None.
        printed_base: the printed number of the base arm, or None.
        published_n: the paper's number of test rows, or None.
        complete: True if the dataset was prepared in full.
        part: True if the dataset was read from a source that has only part of its rows.
    """
    labels: dict[str, Any] = {"metric": row["metric"], "arm": row["arm"]}
    labels |= {"published": printed, "published_base": printed_base}
    printed_shows = shown(**labels, published_n=published_n, constant=row["constant"])
    verdict = agreement(
        **labels,
        complete=complete,
        part=part,
        same_rows=row["protocol"] == "published",
        n=row["n"],
        ours=(row["value"], row["low"], row["high"]),
        difference=(row["difference"], row["difference_low"], row["difference_high"]),
    )
    p_values = {"published_p_low": printed_shows.p_low, "published_p_high": printed_shows.p_high}
    return {"shows": printed_shows.shows, "verdict": verdict} | p_values


def _rows(
    cell: PairedCell, metric: str, printed: Mapping[str, Printed | None], seed: int, resamples: int
) -> list[dict[str, Any]]:
    """Return the rows of both arms, over the test rows that have a value in both."""
    truth = metric == "accuracy"
    base, laser = (cell.rows[f"{arm}_{'correct' if truth else metric}"] for arm in ARMS)
    names, groups = (*cell.key, metric), list(cell.rows["group"])
    compared = compare(base, laser, groups, names, truth=truth, seed=seed, resamples=resamples)
    open_answers = cell.rows[~cell.rows["has_options"]]
    constant = math.nan
    if truth:
        constant = best_constant(option_labels(cell.rows, "answer"), bool(cell.rows["has_options"].any()))
    rows = []
    for arm in ARMS:
        of_paper = printed[arm]
        row: dict[str, Any] = (
            dict.fromkeys(COLUMNS, math.nan)
            | intervention_labels(cell.chosen if arm == "laser" else None)
            | {
                "model": cell.model,
                "dataset": cell.dataset,
                "metric": metric,
                "arm": arm,
                "value": compared[arm],
                "low": compared[f"{arm}_low"],
                "high": compared[f"{arm}_high"],
                "n": compared["n"],
                "constant": constant,
                "protocol": cell.protocol,
                "prediction_shares": _prediction_shares(cell, arm) if truth else "",
                "answer_in_prompt": 100 * float(open_answers["answer_in_prompt"].mean()),
                "published": of_paper.value if of_paper else math.nan,
                "dtype": cell.dtype,
            }
        )
        if arm == "laser":
            row |= {key: compared[key] for key in DIFFERENCE}
        rows.append(row)
    return rows


def _prediction_shares(cell: PairedCell, arm: str) -> str:
    """Return the most frequent predictions and their shares (0 to 1) as JSON, most frequent first."""
    by_prediction = shares(option_labels(cell.rows, f"{arm}_prediction"))
    return json.dumps(dict(list(by_prediction.items())[:TOP_PREDICTIONS]), ensure_ascii=False)


def views(frame: pandas.DataFrame) -> list[View]:
    """Return one rounded view per protocol; the better arm is bold where its adjusted p value is below 0.05."""
    return [_view(frame[frame["protocol"] == name], name) for name in dict.fromkeys(frame["protocol"])]


def _view(frame: pandas.DataFrame, protocol: str) -> View:
    columns = ["Dataset", "Model", "Metric", "Base", "LASER", "LASER − base", "p (Holm)", "n", "Constant answer"]
    columns += ["Intervention", "Paper: base", "Paper: LASER", "Paper's LASER shows", "Ours: base", "Ours: LASER"]
    lines: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for _, pair in frame.groupby(["dataset", "model", "metric"], sort=False):
        base = pair[pair["arm"] == "base"].iloc[0]
        laser = pair[pair["arm"] == "laser"].iloc[0]
        places = 1 if laser["metric"] == "accuracy" else 2
        if laser["p_holm"] < SIGNIFICANCE:
            better = (laser["difference"] > 0) == (laser["metric"] == "accuracy")
            bold.add((len(lines), columns.index("LASER" if better else "Base")))
        lines.append(
            [
                laser["dataset"],
                laser["model"],
                measure(laser["metric"]),
                with_interval(base, places, "value", low="low", high="high"),
                with_interval(laser, places, "value", low="low", high="high"),
                with_interval(laser, places + 1, "difference", sign=True),
                p_value(laser["p_holm"]),
                integer(laser["n"]),
                number(laser["constant"], places),
                intervention(laser["matrix"], laser["layer"], laser["rho"], laser["kept_rank"]),
                number(base["published"], places),
                number(laser["published"], places),
                laser["shows"],
                base["verdict"],
                laser["verdict"],
            ]
        )
    empty = [
        column for column, name in enumerate(columns) if column >= SHOWN and not any(line[column] for line in lines)
    ]
    columns = [name for column, name in enumerate(columns) if column not in empty]
    lines = [[text for column, text in enumerate(line) if column not in empty] for line in lines]
    return View(
        name=f"table1_{protocol}",
        title=f"Table 1. Base and LASER on held-out rows, {protocol} protocol",
        columns=columns,
        rows=lines,
        bold=bold,
        notes=[
            "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
            "Bold: the better arm, where the Holm-adjusted paired p value is below 0.05.",
            "Constant answer: the best accuracy that one fixed answer reaches on the same rows.",
            *_left_out(frame),
            *_overflows(frame),
        ],
    )


def _left_out(frame: pandas.DataFrame) -> list[str]:
    """Return a note that names the cells with rows that were not asked; an empty list if there are none."""
    if "left_out" not in frame.columns:
        return []
    lacking = frame[(frame["left_out"] > 0) & (frame["metric"] == "accuracy") & (frame["arm"] == "laser")]
    named = [
        f"{row['model']} on {row['dataset']}: {int(row['left_out'])} of {int(row['left_out'] + row['n'])}"
        for row in lacking.to_dict("records")
    ]
    if not named:
        return []
    return [f"Held-out rows that the model is not asked, mostly as they are longer than it takes: {'; '.join(named)}."]


def _overflows(frame: pandas.DataFrame) -> list[str]:
    """Return a note that names the cells with rows that have no loss; an empty list if there are none."""
    named = []
    for (dataset, model), cell_rows in frame.groupby(["dataset", "model"], sort=False):
        sizes, dtype = cell_rows.groupby("metric")["n"].first(), cell_rows["dtype"].iloc[0]
        missing = int(sizes["accuracy"] - sizes["loss"])
        if missing:
            named.append(f"{model} on {dataset}: {missing} of {int(sizes['accuracy'])} ({dtype})")
    if not named:
        return []
    return [f"Rows on which base or LASER overflows count as wrong and have no loss: {'; '.join(named)}."]


def report_views(frame: pandas.DataFrame) -> list[View]:
    """Return what the report shows: the views, and a view of the models' predictions."""
    return [*views(frame), prediction_view(frame)]


def prediction_view(frame: pandas.DataFrame) -> View:
    """Return the most frequent predictions of every accuracy row, with their shares."""
    rows = []
    for row in frame[frame["metric"] == "accuracy"].to_dict("records"):
        shares = json.loads(row["prediction_shares"] or "{}")
        listed = "; ".join(f"'{text}' {number(100 * share, 1)} %" for text, share in shares.items())
        rows.append([row["dataset"], row["model"], row["protocol"], row["arm"], listed])
    columns = ["Dataset", "Model", "Protocol", "Arm", "Most frequent predictions"]
    return View("predictions", "What the models predicted, most frequent first", columns, rows)
