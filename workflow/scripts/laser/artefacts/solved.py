"""Rooms solved by number of boxes and by the length of the expert's path, base and LASER (beyond the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from laser.analysis.comparison import compare
from laser.analysis.style import bars_of, figure, legend, rows, save, shades, title
from laser.config.artefacts import Artefact, drawn_cells
from laser.results.cells import PairedCell
from laser.sokoban.room import parse_room

if TYPE_CHECKING:
    import pandas

    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="solved",
    kind="figure",
    title="Rooms solved, by boxes and length of the path",
    about="rooms solved by number of boxes and by length of the expert's path, test rooms",
    reads=("test", "selection", "rows"),
    cells=drawn_cells,
    texts=("model", "dataset", "protocol"),
    only_policies=True,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = study.compared_of(picture.model, picture.dataset, picture.protocol)
    solved(cell, study.texts(picture.dataset), stem, study.seed, study.resamples)


BINS = 5
"""Number of path-length bins, each with about equally many rooms."""

PANELS = {"boxes": "boxes in the room", "path": "moves of the expert's path"}


def solved_data(cell: PairedCell, texts: Mapping[str, str], seed: int, resamples: int) -> pandas.DataFrame:
    """Return a row per group of rooms: by number of boxes, and by bins of the expert's path length.

    Columns: model, dataset, protocol, by (`boxes` or `path`), label, least, most (bounds of the group, inclusive), and
    those of `laser.analysis.comparison.compare`: n, base, laser in percent with intervals, difference, p_value.

    Args:
        cell: base and LASER on test rooms.
        texts: maps the id of a room to its text.
        seed: seed of the study.
        resamples: number of bootstrap resamples.
    """
    import pandas as pd

    names = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
    values = {
        "boxes": np.array([len(parse_room(texts[room]).boxes) for room in cell.rows["id"]]),
        "path": cell.rows["answer"].str.len().to_numpy(),
    }
    lines: list[dict[str, Any]] = []
    for by, measured in values.items():
        for least, most in _groups(by, measured):
            in_group = cell.rows[(measured >= least) & (measured <= most)]
            key = (*names.values(), "solved", by, str(least))
            both = compare(
                *(in_group["base_correct"], in_group["laser_correct"], list(in_group["group"]), key),
                truth=True,
                seed=seed,
                resamples=resamples,
            )
            label = f"{least}" if least == most else f"{least}–{most}"
            lines.append(names | {"by": by, "label": label, "least": least, "most": most} | both)
    return pd.DataFrame(lines)


def _groups(by: str, values: np.ndarray) -> list[tuple[int, int]]:
    """Return inclusive bounds of groups, none empty: each number of boxes, or quantiles of the path lengths."""
    if by == "boxes":
        return [(int(count), int(count)) for count in np.unique(values)]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1), method="lower"))
    bounds = [(int(low) + (index > 0), int(high)) for index, (low, high) in enumerate(pairwise(edges))]
    return bounds or [(int(edges[0]), int(edges[0]))]


def solved(cell: PairedCell, texts: Mapping[str, str], stem: Path | str, seed: int, resamples: int) -> pandas.DataFrame:
    """Draw two panels, by boxes and by path length, with a bar per arm; write <stem>.svg, .pdf and .csv."""
    data = solved_data(cell, texts, seed, resamples)
    with figure(2, 1, 2) as (made, axes):
        for axis, (by, label) in zip(axes, PANELS.items(), strict=True):
            _panel(axis, data[data["by"] == by], label)
        axes[0].set_ylabel("rooms solved, %")
        chosen = "base chosen" if cell.chosen is None else "base and LASER"
        title(made, f"{cell.model} on {cell.dataset}, {cell.protocol} protocol: {chosen}, {rows(len(cell.rows))}")
        legend(made)
        save(made, data, stem)
    return data


def _panel(axis: Any, data: pandas.DataFrame, label: str) -> None:
    colours, places = shades(4), np.arange(len(data))
    for shift, (arm, shown, colour, hatch) in zip(
        (-0.2, 0.2), (("base", "base", colours[0], ""), ("laser", "LASER", colours[3], "//")), strict=True
    ):
        bars = bars_of(data[arm], data[f"{arm}_low"], data[f"{arm}_high"])
        kwargs = {"color": colour, "hatch": hatch, "edgecolor": "white", "label": shown, "capsize": 2}
        axis.bar(places + shift, data[arm], 0.38, yerr=bars, error_kw={"linewidth": 1.1, "ecolor": "0.55"}, **kwargs)
    ticks = [f"{name}\nn={count}" for name, count in zip(data["label"], data["n"], strict=True)]
    axis.set_xticks(places, ticks, fontsize=7)
    axis.set_xlabel(label)
    axis.set_ylim(0, 105)
