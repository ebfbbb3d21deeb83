"""Gains in accuracy across models and datasets: from this study, the paper and other reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import NOTES as COMPARISON_NOTES
from laser.analysis.comparison import with_interval
from laser.analysis.tables import View, integer, intervention, number, p_value, read_table
from laser.analysis.verdicts import PART
from laser.artefacts import table1
from laser.config.artefacts import Artefact
from laser.paper.published import Published, read_published
from laser.paper.reproductions import PLACES, Reproduction, read_reproductions
from laser.results.loading import is_partial

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="across",
    kind="table",
    title="Gains across models and datasets",
    about="gains in accuracy of this study, of the paper and of others, side by side",
    reads=("rows",),
    after=("table1",),
    texts=("dataset", "model", "protocol", "whose", "setting", "source", "rows"),
    resampled=False,
    not_for_policies="the paper's Sokoban numbers stand in table2",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Put the gains in the study's Table 1 beside those of the paper and of others."""
    frame = read_table(study.table("table1"), table1.ARTEFACT.texts)
    extents = {name: _extent(entry) for name, (_, entry) in study.datasets.items()}
    return across(frame, read_published(), read_reproductions(), extents)


def _extent(entry: Mapping[str, Any]) -> str:
    """Describe which rows of a dataset the study holds; return an empty string if it holds all of them."""
    remarks = [PART] if is_partial(entry) else []
    if entry.get("limit"):
        remarks.append(f"the first {entry['limit']} rows")
    return "; ".join(remarks)


OURS, PAPER, OTHERS = "this study", "the paper", "others"
PAPER_SOURCE = "arXiv 2312.13558, Tables 1 and 3"
COLUMNS = (
    *("dataset", "model", "protocol", "whose", "setting", "source", "rows", "n"),
    *("base", "laser", "gain", "gain_low", "gain_high", "p_holm"),
)
"""Columns of the CSV: accuracies in percent, gains in points.

`gain_low` and `gain_high` bound the 95 % interval of our own gains, and `p_holm` is taken from Table 1; the paper and
others report neither. `protocol` is empty for their numbers. `rows` says which rows of the dataset the study holds if
it does not hold all of them. Datasets have our names where we have one; the models of the paper and of others have the
paper's names."""


def across(
    frame: pd.DataFrame,
    published: Published,
    reproductions: Sequence[Reproduction],
    extents: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the gains by dataset: ours, then the paper's, then those that others report.

    Args:
        frame: the long form of Table 1 (`laser.artefacts.table1.table1`).
        published: the paper's numbers.
        reproductions: numbers reported by others.
        extents: maps a dataset to a description of the rows that the study holds; empty for all rows.

    Returns:
        A frame with the columns `COLUMNS`: the study's datasets first, then the paper's other datasets.
    """
    names = {paper: ours for ours, paper in published.datasets.items()}
    lines = [
        *_ours(frame, extents or {}),
        *_paper(published, names),
        *(_others(other, names) for other in reproductions),
    ]
    made = pd.DataFrame(lines, columns=list(COLUMNS)).astype({"n": "Int64"})
    order = {name: position for position, name in enumerate(dict.fromkeys(made["dataset"]))}
    return made.sort_values("dataset", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _ours(frame: pd.DataFrame, extents: Mapping[str, str]) -> list[dict[str, Any]]:
    accuracy = frame[frame["metric"] == "accuracy"]
    cell = ["dataset", "model", "protocol"]
    base = accuracy[accuracy["arm"] == "base"].set_index(cell)["value"]
    return [
        {name: row[name] for name in (*cell, "n", "p_holm")}
        | {
            "whose": OURS,
            "setting": intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
            "source": "",
            "rows": extents.get(row["dataset"], ""),
        }
        | {"base": base.loc[tuple(row[name] for name in cell)], "laser": row["value"], "gain": row["difference"]}
        | {"gain_low": row["difference_low"], "gain_high": row["difference_high"]}
        for row in accuracy[accuracy["arm"] == "laser"].to_dict("records")
    ]


def _paper(published: Published, names: Mapping[str, str]) -> list[dict[str, Any]]:
    lines = []
    for (model, dataset, metric, arm), laser in published.table1.items():
        if (metric, arm) != ("accuracy", "laser"):
            continue
        base = published.table1[model, dataset, metric, "base"].value
        gain = round(laser.value - base, PLACES)
        choice, sizes = published.table3.get((model, dataset)), published.table4.get(dataset)
        line = _line(model, names.get(dataset, dataset), PAPER, PAPER_SOURCE, base, laser.value, gain)
        line["setting"] = intervention(choice["tau"], choice["layer"], choice["rho"]) if choice else ""
        lines.append(line | {"n": sizes["test"] if sizes else None})
    return lines


def _others(other: Reproduction, names: Mapping[str, str]) -> dict[str, Any]:
    dataset = names.get(other.dataset, other.dataset)
    line = _line(other.model, dataset, OTHERS, other.source, other.base, other.laser, other.gain)
    return line | {"setting": other.setting, "n": None}


def _line(model: str, dataset: str, whose: str, source: str, base: float, laser: float, gain: float) -> dict[str, Any]:
    line: dict[str, Any] = {"dataset": dataset, "model": model, "protocol": "", "whose": whose, "source": source}
    return line | {"rows": "", "base": base, "laser": laser, "gain": gain}


NOTES = (
    f"{COMPARISON_NOTES[0]} The paper and others print none.",
    "p: paired test of Table 1, adjusted by Holm's method.",
    "Numbers of other models on other rows are context: they are not compared with ours, and no test is made of them.",
    f"The paper ({PAPER_SOURCE}) and others: as printed. What others repeat from the paper is left out.",
)


def views(frame: pd.DataFrame) -> list[View]:
    """Return a view per protocol: its gains beside those of the paper and of others on the same datasets.

    If the study has none of the paper's datasets, everything that the paper and others report is shown.
    """
    columns = ["Dataset", "Model", "Whose", "Base, %", "LASER, %", "Gain, points", "p (Holm)", "n", "Setting"]
    shown = set(frame.loc[frame["whose"] == OURS, "dataset"])
    if not frame.loc[frame["whose"] != OURS, "dataset"].isin(shown).any():
        shown = set(frame["dataset"])
    frame = frame[frame["dataset"].isin(shown)]
    protocols = [name for name in dict.fromkeys(frame["protocol"]) if name]
    return [
        View(
            f"across_{protocol}",
            f"Gains in accuracy across models and datasets, {protocol} protocol",
            columns,
            [_cells(row) for row in frame[frame["protocol"].isin([protocol, ""])].to_dict("records")],
            notes=list(NOTES),
        )
        for protocol in protocols
    ]


def _cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        f"{row['dataset']} ({row['rows']})" if row["rows"] else row["dataset"],
        row["model"],
        row["source"] if row["whose"] == OTHERS else row["whose"],
        number(row["base"], 1),
        number(row["laser"], 1),
        with_interval(row, 1, "gain", sign=True),
        p_value(row["p_holm"]),
        integer(row["n"]),
        row["setting"],
    ]
