"""LASER's gain by relation and by question template, and how much of it the largest of them contributes.

The paper has no such table: it prints one number per dataset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.clusters import between_clusters, cluster_interval
from laser.analysis.comparison import with_interval
from laser.analysis.intervals import change_interval
from laser.analysis.tables import View, integer, intervention, number
from laser.config.artefacts import Artefact
from laser.results.cells import PairedCell, intervention_labels

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="by_relation",
    kind="table",
    title="Gains by relation and template",
    about="the gain by relation and by template of the questions",
    reads=("test", "selection", "rows"),
    texts=("model", "dataset", "protocol", "part", "relation", "template", "matrix", "widest"),
    resampled=False,
    not_for_policies="a room has no relation and no template",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    columns = ("id", "group", "prompt", "subject", "relation")
    return by_relation(study.compared, {dataset: study.rows(dataset, *columns) for dataset in study.datasets})


ALL, RELATION, TEMPLATE = "all rows", "relation", "template"
BLANK = "…"
"""Placeholder for the subject in a template."""

SHOWN = 10
"""Number of relations, and of templates, that a view lists per cell: those with the most net rows. The CSV has all."""

_GAIN = ("gain", "gain_low", "gain_high")
COLUMNS = (
    *("model", "dataset", "protocol", "part", "relation", "template", "n", "groups", "base", "laser", *_GAIN),
    *("net_rows", "share_of_net", "gain_without", "gain_without_low", "gain_without_high"),
    *("answers", "answers_low", "answers_high", "templates", "templates_low", "templates_high", "widest"),
    *("spread", "spread_low", "spread_high", "matrix", "layer", "rho", "kept_rank"),
)
"""Columns of the CSV, accuracies in percent and gains in points, with 95 % intervals.

`part` is `all rows`, `relation` or `template`. `net_rows` counts the rows that became right minus those that became
wrong; `share_of_net` is their share of the cell's net rows, in percent (where those are positive), and `gain_without`
is the gain over the other rows. Only `all rows` has the number of answers and templates, the bounds of the gain if
these are resampled, and which of the three intervals is the `widest`. In the rows of relations and templates, `spread`
is the standard deviation of their true gains, the same throughout a cell."""


def templates(rows: pd.DataFrame) -> pd.Series:
    """Return the template of every prepared row: its prompt with the subject replaced by `BLANK`.

    The template is empty if the row has no relation or subject, or if only one group of rows uses this wording.
    """
    worded = [
        _template(*values) if isinstance(relation, str) else ""
        for relation, *values in zip(rows["relation"], rows["prompt"], rows["subject"], strict=True)
    ]
    texts = pd.Series(worded, index=rows.index, dtype=object)
    groups = rows["group"].groupby([rows["relation"].fillna(""), texts]).transform("nunique")
    return texts.where(groups > 1, "")


def _template(prompt: str, subject: object) -> str:
    if not isinstance(subject, str) or not subject.strip():
        return ""
    # Within a sentence, names of countries can have an article: the Gambia.
    name = subject.strip().removeprefix("The ")
    head, named, tail = prompt.partition(name)
    if not named:
        return ""
    return f"{head[:-4] if head.lower().endswith('the ') else head}{BLANK}{tail}"


def by_relation(cells: Sequence[PairedCell], prepared: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the gain of every cell over all rows, and by relation and template if its dataset has them.

    Args:
        cells: per-example results of base and LASER.
        prepared: maps a dataset to its rows, with id, group, prompt, subject and relation.

    Returns:
        A frame with the columns `COLUMNS`.
    """
    known = {}
    for dataset, rows in prepared.items():
        labels = pd.DataFrame({"relation": rows["relation"].fillna(""), "template": templates(rows)})
        known[dataset] = labels.set_index(rows["id"])
    lines = [line for cell in cells for line in _cell(cell, known[cell.dataset].loc[cell.rows["id"]])]
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    texts = {name: frame[name].fillna("") for name in ("relation", "template", "widest")}
    whole_numbers = ("n", "groups", "net_rows", "answers", "templates", "layer", "kept_rank")
    return frame.assign(**texts).astype(dict.fromkeys(whole_numbers, "Int64"))


def _cell(cell: PairedCell, labels: pd.DataFrame) -> list[dict[str, Any]]:
    rows = cell.rows.assign(
        relation=labels["relation"].to_numpy(),
        template=labels["template"].to_numpy(),
        change=cell.rows["laser_correct"].astype("float64") - cell.rows["base_correct"].astype("float64"),
    )
    names: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
    names |= intervention_labels(cell.chosen)
    lines = [names | {"part": ALL} | _gain_of(rows) | _overall(rows)]
    for part, keys in ((RELATION, ["relation"]), (TEMPLATE, ["relation", "template"])):
        told = rows[rows[part] != ""]
        if told.empty:
            continue
        spread = between_clusters(told["change"], list(told[keys].agg("\0".join, axis=1)), list(told["group"]))
        common = dict(zip(("spread", "spread_low", "spread_high"), (100 * value for value in spread), strict=True))
        for values, of_part in told.groupby(keys, sort=False):
            line = names | {"part": part} | dict(zip(keys, values, strict=True)) | _gain_of(of_part)
            lines.append(line | _share(of_part, rows) | common)
    return lines


def _gain_of(rows: pd.DataFrame) -> dict[str, Any]:
    """Return a part's accuracies and gain."""
    line: dict[str, Any] = {"n": len(rows), "groups": rows["group"].nunique(), "net_rows": int(rows["change"].sum())}
    line |= {arm: 100 * float(rows[f"{arm}_correct"].mean()) for arm in ("base", "laser")}
    return line | dict(zip(_GAIN, _gain(rows), strict=True))


def _gain(rows: pd.DataFrame) -> tuple[float, float, float]:
    if rows.empty:
        return math.nan, math.nan, math.nan
    low, high = change_interval(rows["change"], list(rows["group"]))
    return 100 * float(rows["change"].mean()), 100 * low, 100 * high


def _share(of_part: pd.DataFrame, rows: pd.DataFrame) -> dict[str, float]:
    """Return a part's share of the cell's net rows, and the gain without it."""
    net, all_net = of_part["change"].sum(), rows["change"].sum()
    without = _gain(rows[~rows["id"].isin(of_part["id"])])
    names = ("gain_without", "gain_without_low", "gain_without_high")
    share = 100 * float(net / all_net) if all_net > 0 else math.nan
    return {"share_of_net": share} | dict(zip(names, without, strict=True))


def _overall(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the bounds of the gain over answers and over templates, and the name of the widest interval."""
    line: dict[str, Any] = {}
    _, low, high = _gain(rows)
    widths = {"groups": high - low}
    # Rows with the same option as their answer do not share a fact.
    answers = rows["answer"].str.strip().str.lower().where(~rows["has_options"], "")
    for name, labels in (("answers", answers), ("templates", rows["relation"] + "\0" + rows["template"])):
        told = answers != "" if name == "answers" else rows["template"] != ""
        if not told.any():
            continue
        # Rows without a label are clustered by their group.
        interval = cluster_interval(rows["change"], list(labels.where(told, "\0" + rows["group"])))
        low, high = (100 * bound for bound in interval)
        line |= {name: labels[told].nunique(), f"{name}_low": low, f"{name}_high": high}
        widths[name] = high - low
    known = {name: width for name, width in widths.items() if not math.isnan(width)}
    return line | {"widest": max(known, key=known.__getitem__) if len(known) > 1 else ""}


def largest_part(frame: pd.DataFrame, row: Mapping[Any, Any], part: str) -> dict[Any, Any] | None:
    """Return the relation or template with the most net rows in the given row's cell; None if there is no gain."""
    same = (frame[["model", "dataset", "protocol"]] == [row["model"], row["dataset"], row["protocol"]]).all(axis=1)
    parts = frame[same & (frame["part"] == part) & frame["share_of_net"].notna()]
    ordered = parts.sort_values("share_of_net", ascending=False, kind="stable")
    return next(iter(ordered.to_dict("records")), None)


def named_part(row: Mapping[Any, Any]) -> str:
    """Return a name for the rows that a row of the table is about."""
    return f"{row['relation']}: {row['template']}" if row["template"] else str(row["relation"])


def views(frame: pd.DataFrame) -> list[View]:
    """Return, per protocol, a view of all rows and, if rows have relations, a view of relations and templates."""
    made = []
    for protocol in dict.fromkeys(frame["protocol"]):
        of_protocol = frame[frame["protocol"] == protocol]
        made.append(_overall_view(of_protocol, protocol))
        if (of_protocol["part"] != ALL).any():
            made.append(_parts_view(of_protocol, protocol))
    return made


def _overall_view(frame: pd.DataFrame, protocol: str) -> View:
    columns = ["Dataset", "Model", "n", "Gain, points", "over answers", "over templates", "Widest", "Largest part"]
    columns += ["Its net rows", "Gain without it", "Intervention"]
    lines = []
    for row in frame[frame["part"] == ALL].to_dict("records"):
        largest = largest_part(frame, row, TEMPLATE) or largest_part(frame, row, RELATION)
        line = [row["dataset"], row["model"], integer(row["n"]), with_interval(row, 1, "gain", sign=True)]
        line += [_bounds(row, name) for name in ("answers", "templates")]
        line += [row["widest"], "", "", ""]
        if largest:
            of = f"{integer(largest['net_rows'])} of {integer(row['net_rows'])}"
            line[-2:] = [of, with_interval(largest, 1, "gain_without", sign=True)]
            line[-3] = named_part(largest)
        lines.append([*line, intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"])])
    notes = [
        "Brackets: 95 % intervals, over groups of dependent rows, over answers (rows with one answer are not "
        "independent) and over templates, with their number (docs/statistics.md).",
        "Largest part: the template, or relation, with the most net rows, which are those that became right less those "
        "that became wrong.",
        "Empty: rows without relation or template, a choice among options, or no gain.",
    ]
    return View(f"by_relation_{protocol}", f"What the gain rests on, {protocol} protocol", columns, lines, notes=notes)


def _bounds(row: Mapping[Any, Any], name: str) -> str:
    low, high = (number(row[f"{name}_{end}"], 1, sign=True) for end in ("low", "high"))
    return f"[{low}, {high}] ({integer(row[name])})" if low else ""


def _parts_view(frame: pd.DataFrame, protocol: str) -> View:
    columns = ["Dataset", "Model", "Part", "n", "Base, %", "LASER, %", "Gain, points", "Net rows"]
    columns += ["Share of net, %", "Gain without it", "Spread of gains"]
    lines, cut = [], False
    for _, cell in frame[frame["part"] != ALL].groupby(["model", "dataset", "part"], sort=False):
        order = cell["net_rows"].abs().sort_values(ascending=False, kind="stable").index[:SHOWN]
        cut |= len(order) < len(cell)
        for row in cell.loc[sorted(order)].to_dict("records"):
            line = [row["dataset"], row["model"], named_part(row), integer(row["n"])]
            line += [number(row["base"], 1), number(row["laser"], 1), with_interval(row, 1, "gain", sign=True)]
            line += [integer(row["net_rows"]), number(row["share_of_net"], 0)]
            lines.append([*line, with_interval(row, 1, "gain_without", sign=True), with_interval(row, 1, "spread")])
    notes = [
        "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
        "Spread: the standard deviation between the true gains of a cell's relations, or of its templates, in points.",
    ]
    if cut:
        notes.append(f"Of each cell the {SHOWN} relations and templates with the most net rows; the CSV has all.")
    title = f"Gain by relation and template, {protocol} protocol"
    return View(f"by_relation_parts_{protocol}", title, columns, lines, notes=notes)
