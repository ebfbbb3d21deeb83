"""Figure 3b: accuracy of base and LASER over questions whose fact has at most a given training frequency."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis import style
from laser.analysis.frequency import DOCUMENTS, STAND_IN, Frequency, frequency_in
from laser.analysis.intervals import share_interval
from laser.analysis.style import LINES, MARKERS, band, figure, legend, notice, save, shades, title
from laser.analysis.tables import read_table
from laser.config.artefacts import Artefact, drawn_cells
from laser.paper.published import FOLDER, read_published
from laser.results.cells import ARMS, PairedCell

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig3b",
    kind="figure",
    title="Figure 3b",
    about="accuracy over facts by how often they were met",
    reads=("test", "selection", "rows", "facts", "counts"),
    cells=drawn_cells,
    texts=("model", "dataset", "protocol"),
    not_for_policies="rooms have no training frequency",
    resampled=False,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = study.compared_of(picture.model, picture.dataset, picture.protocol)
    fig3b(cell, frequency_in(study, picture.model, picture.dataset), stem)


POINTS, SPAN = 40, 50
MEASURES = {"top10": "answer among the ten\nmost probable tokens, %", "accuracy": "accuracy, %"}
"""Measures drawn, in panel order: the paper's measure, and whether the answer is right."""

LABELS = {"base": "base", "laser": "LASER"}
COLUMNS = (
    *("model", "dataset", "protocol", "frequency_from", "at_most", "n", "groups", "without_frequency"),
    *(f"{arm}_{measure}{end}" for measure in MEASURES for arm in ARMS for end in ("", "_low", "_high")),
)
"""Columns of the CSV. Shares in percent with 95 % intervals over groups; `without_frequency` counts the test
rows that are left out because their frequency is unknown."""

NOTHING = (
    "The training frequency of these facts is not known. Give a file of counts in the study "
    "(counts: {dataset: file}; config/data.md)."
)


def fig3b_data(cell: PairedCell, frequency: Frequency) -> pd.DataFrame:
    """Return the cumulative curves of one cell: a row per threshold.

    Args:
        cell: test results (`laser.results.loading.load_cells`).
        frequency: training frequency of the dataset's examples (`laser.analysis.frequency.frequency_of`).

    Returns:
        A frame with the columns `COLUMNS`; empty if no frequency is known. Thresholds are the distinct frequencies or,
        if there are more than 40, 40 of them with about equally many rows in between.
    """
    rows = cell.rows.assign(frequency=cell.rows["id"].map(frequency.values))
    known = rows[rows["frequency"].notna()]
    columns = {"top10": "in_top10", "accuracy": "correct"}
    lines = []
    for at_most in _thresholds(known["frequency"]):
        included = known[known["frequency"] <= at_most]
        groups = list(included["group"])
        line: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
        line |= {"frequency_from": frequency.source, "at_most": at_most, "n": len(included), "groups": len(set(groups))}
        line["without_frequency"] = len(rows) - len(known)
        for measure, column in columns.items():
            for arm in ARMS:
                values = included[f"{arm}_{column}"].to_numpy(dtype="float64")
                low, high = share_interval(values, groups)
                name = f"{arm}_{measure}"
                line |= {name: 100 * float(values.mean()), f"{name}_low": 100 * low, f"{name}_high": 100 * high}
        lines.append(line)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _thresholds(frequencies: pd.Series) -> list[float]:
    distinct = sorted(set(frequencies))
    if len(distinct) <= POINTS:
        return distinct
    quantiles = frequencies.quantile([number / POINTS for number in range(1, POINTS + 1)], interpolation="lower")
    return sorted({*quantiles, distinct[-1]})


def fig3b(cell: PairedCell, frequency: Frequency, stem: Path | str) -> pd.DataFrame:
    """Draw Figure 3b for one cell: a panel per measure, base and LASER with their intervals.

    If the cell is the paper's own (GPT-J on CounterFact) and documents are counted, the paper's curves, as read off its
    image, are drawn too.
    """
    data = fig3b_data(cell, frequency)
    what = f"{cell.model} on {cell.dataset}: test rows up to a training frequency, {cell.protocol} protocol"
    if data.empty:
        notice(data, stem, what, NOTHING)
        return data
    with figure(len(MEASURES), 1, 4) as (made, axes):
        for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
            for number, (arm, colour) in enumerate(zip(ARMS, shades(len(ARMS)), strict=True)):
                name = f"{arm}_{measure}"
                band(axis, data["at_most"], data[f"{name}_low"], data[f"{name}_high"], colour)
                look: dict[str, Any] = {"color": colour, "marker": MARKERS[number], "linestyle": LINES[number]}
                axis.plot(data["at_most"], data[name], label=LABELS[arm], **look)
            if measure == "top10":
                _draw_published(axis, cell, frequency)
            frequency_axis(axis, data["at_most"], frequency)
            axis.set_ylabel(label)
        title(made, f"{what}, {style.rows(data['n'].iloc[-1])}")
        legend(made)
        save(made, data, stem)
    return data


def frequency_axis(axis: Any, frequencies: pd.Series, frequency: Frequency) -> None:
    """Label the axis of frequencies, which are counts; it is logarithmic if they span more than two powers of ten."""
    positive = frequencies[frequencies > 0]
    if not positive.empty and positive.max() / max(positive.min(), 1.0) > SPAN:
        if (frequencies == 0).any():
            axis.set_xscale("symlog", linthresh=1)
            axis.set_xlim(left=-0.3)
        else:
            axis.set_xscale("log")
    else:
        style.whole_numbers(axis, list(frequencies))
    words = f"at most this {frequency.axis}" if frequency.source == STAND_IN else f"at most this many {frequency.axis}"
    axis.set_xlabel(textwrap.fill(words, 36))


def _draw_published(axis: Any, cell: PairedCell, frequency: Frequency) -> None:
    """Draw the paper's curves, which count documents of The Pile, if the cell is the paper's."""
    published = read_published()
    names = published.models.get(cell.model), published.datasets.get(cell.dataset)
    if names != ("GPT-J", "CounterFact") or frequency.source != DOCUMENTS:
        return
    read = read_table(FOLDER / "fig3b_digitised.csv", texts=())
    for number, (arm, column) in enumerate(zip(ARMS, ("top10_acc_base", "top10_acc_laser"), strict=True)):
        label = f"{LABELS[arm]} in the paper"
        axis.plot(read["cum_frequency_N_le"], 100 * read[column], color="0.55", linestyle=LINES[number], label=label)
