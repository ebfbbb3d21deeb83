"""The gains in the table `across` as a forest plot: ours with intervals, beside those of the paper and of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.style import bars_of, figure, legend, save, shades, title
from laser.analysis.tables import intervention, number, read_table
from laser.artefacts import across
from laser.artefacts.across import OTHERS, OURS, PAPER
from laser.config.artefacts import Artefact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="forest",
    kind="figure",
    title="Gains across models and datasets",
    about="gains in accuracy of this study with intervals, beside the paper's and others'",
    after=("across",),
    pictures="{protocol}",
    texts=("dataset", "model", "protocol", "whose", "setting", "source", "rows", "row"),
    resampled=False,
    not_for_policies=across.ARTEFACT.not_for_policies,
)

ROW_HEIGHT = 0.2
LOOKS: dict[str, dict[str, Any]] = {
    OURS: {"marker": "o", "markersize": 4.5},
    PAPER: {"marker": "D", "markersize": 5, "markerfacecolor": "white"},
    OTHERS: {"marker": "x", "markersize": 5, "markeredgewidth": 1.4},
}
LABELS = {OURS: "this study, 95 % interval", PAPER: "printed in the paper", OTHERS: "reported by others"}
ALL_OF_THE_PAPER = "the paper's three models, all datasets"


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    forest(read_table(study.table("across"), across.ARTEFACT.texts), picture.protocol, stem)


def forest_data(frame: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the gains that one picture shows, with the labels of their rows; the rows of a dataset are adjacent.

    The numbers of the paper and of others are shown for the study's datasets. If the study has none of the paper's
    datasets, all the paper's gains are shown in one row, so that their size can be seen.

    Args:
        frame: the table `across` (`laser.artefacts.across.across`).
        protocol: `published` or `corrected`.

    Returns:
        The columns of `across`, and `row`, in the order of `across`, in which the rows of a dataset are adjacent.
    """
    ours = (frame["whose"] == OURS) & (frame["protocol"] == protocol)
    context = (frame["whose"] != OURS) & frame["dataset"].isin(frame.loc[ours, "dataset"])
    data = frame[ours | context].assign(row=lambda drawn: drawn["model"])
    if not context.any():
        printed = frame[frame["whose"] == PAPER].assign(row=ALL_OF_THE_PAPER)
        data = pd.concat([data, printed])
    return data.reset_index(drop=True)


def forest(frame: pd.DataFrame, protocol: str, stem: Path | str) -> pd.DataFrame:
    """Draw the gains of one protocol."""
    data = forest_data(frame, protocol)
    rows = _rows(data)
    with figure(1, 1, len(LOOKS)) as (made, (axis,)):
        made.set_size_inches(made.get_size_inches()[0] + 1.6, max(2.2, ROW_HEIGHT * len(rows) + 1.2))
        axis.axvline(0, color="0.4", linewidth=1, zorder=1)
        for height, (dataset, label) in enumerate(rows):
            of_row = (data["row"] == label) & ((data["dataset"] == dataset) | (not dataset))
            _draw(axis, data[of_row], height)
            if not label and (held := _held(data, dataset)):
                _write(axis, 0.01, height, held)
        _beside(axis, -0.55, "base → LASER, %")
        axis.set_yticks(range(len(rows)), [label or dataset for dataset, label in rows])
        for tick, (_, label) in zip(axis.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("normal" if label else "bold")
        axis.set_ylim(len(rows) - 0.4, -0.9)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("gain in accuracy, points (LASER − base)")
        title(made, f"Gains in accuracy on held-out rows, {protocol} protocol")
        legend(made)
        save(made, data, stem)
    return data


def _rows(data: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (dataset, label) of the rows from top to bottom.

    A dataset's heading has an empty label; a row for several datasets has an empty dataset.
    """
    rows: list[tuple[str, str]] = []
    for dataset, part in data[data["row"] != ALL_OF_THE_PAPER].groupby("dataset", sort=False):
        rows += [(str(dataset), ""), *((str(dataset), label) for label in dict.fromkeys(part["row"]))]
    return [*rows, *([("", ALL_OF_THE_PAPER)] if ALL_OF_THE_PAPER in set(data["row"]) else [])]


def _held(data: pd.DataFrame, dataset: str) -> str:
    """Describe which rows of a dataset the study holds; return an empty string if it holds all of them."""
    return next((text for text in data.loc[data["dataset"] == dataset, "rows"] if text), "")


def _draw(axis: Axes, drawn: pd.DataFrame, height: int) -> None:
    # The palest shade is left out: a thin cross in that colour would be hard to see.
    colours = dict(zip(LOOKS, reversed(shades(len(LOOKS) + 1)), strict=False))
    for whose, part in drawn.groupby("whose", sort=False):
        look: dict[str, Any] = {"color": colours[str(whose)], "linestyle": "none", **LOOKS[str(whose)]}
        heights = [height] * len(part)
        if whose == OURS:
            ends = bars_of(part["gain"], part["gain_low"], part["gain_high"])
            axis.errorbar(part["gain"], heights, xerr=ends, ecolor=look["color"], elinewidth=1.4, fmt="none")
            _beside(axis, height, _accuracies(part.iloc[0]))
        axis.plot(part["gain"], heights, label=LABELS[str(whose)], **look)


def _accuracies(row: pd.Series) -> str:
    kept = row["setting"] == intervention("", None, None)
    return f"{number(row['base'], 1)}, base kept" if kept else f"{number(row['base'], 1)} → {number(row['laser'], 1)}"


def _beside(axis: Axes, height: float, text: str) -> None:
    """Write a text to the right of a row."""
    _write(axis, 1.01, height, text)


def _write(axis: Axes, x: float, height: float, text: str) -> None:
    """Write a text at a row; `x` is a fraction of the panel's width."""
    look: dict[str, Any] = {"va": "center", "fontsize": 8, "color": "0.35", "annotation_clip": False}
    look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axis.annotate(text, (x, height), xycoords=("axes fraction", "data"), **look)
