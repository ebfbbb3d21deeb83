"""Style of all figures, and saving them so that equal data give equal bytes.

Colours come from cmcrameri's perceptually uniform maps and get darker in order; lines also differ in marker, so that
figures can be read in greyscale.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.dark import with_dark_colours
from laser.analysis.tables import to_csv
from laser.io.files import atomic, write_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

PANEL_WIDTH, PANEL_HEIGHT, LEGEND_WIDTH, LEGEND_LINE = 3.1, 2.5, 1.9, 0.175
ALONE = 1.4
"""Factor by which a panel is wider if it is the only one of a figure."""
TITLE_SIZE, CHARACTERS_PER_INCH = 10, 13
LABELLED = 10
"""Largest number of layers labelled on an axis, so that labels do not touch; the others only have a tick."""
MARKERS = "osD^vP<X>p"
LINES = ("-", "--", ":", "-.")

MATRIX_LABELS = {
    "q": r"$W_q$",
    "k": r"$W_k$",
    "v": r"$W_v$",
    "o": r"$W_o$",
    "u_in": r"$U_{\mathrm{in}}$",
    "u_gate": r"$U_{\mathrm{gate}}$",
    "u_out": r"$U_{\mathrm{out}}$",
}

SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "laser",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}


@contextmanager
def figure(columns: int, rows: int, entries: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure with rows × columns panels (row by row) and room on its right for a legend; close it afterwards.

    Args:
        columns: number of panels side by side.
        rows: number of panels above each other.
        entries: number of lines in the legend; the figure is made high enough for them.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    height = max(rows * PANEL_HEIGHT + 0.7, entries * LEGEND_LINE + 0.9)
    wider = ALONE if columns * rows == 1 else 1.0
    size = (columns * PANEL_WIDTH * wider + LEGEND_WIDTH, height)
    everything: dict[Any, Any] = {**matplotlib.rcParamsDefault, "backend": "Agg", **SETTINGS}
    with matplotlib.rc_context(everything):
        made, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        try:
            yield made, list(axes.flat)
        finally:
            plt.close(made)


def title(made: Figure, text: str) -> None:
    """Write a figure's title above its panels, wrapped to their width; the legend keeps its corner.

    Args:
        made: the figure.
        text: title, broken only at ordinary spaces; words joined by no-break spaces stay on one line.
    """
    width = int((made.get_size_inches()[0] - LEGEND_WIDTH) * CHARACTERS_PER_INCH)
    lines = [""]
    for word in text.split(" "):
        # Count the visible width of mathematics, not its markup.
        seen = len(re.sub(r"\$.*?\$", "xxx", f"{lines[-1]} {word}"))
        if lines[-1] and seen > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip(" ")
    made.suptitle("\n".join(lines), fontsize=TITLE_SIZE, x=0.01, ha="left")


def rows(count: int) -> str:
    """Format a number of rows for a title, on one line."""
    return f"n\u00a0=\u00a0{count:,}"


def matrix_of_layer(matrix: str, layer: int) -> str:
    """Format a matrix of a layer for a title, on one line."""
    return f"{MATRIX_LABELS.get(matrix, matrix)}\u00a0of\u00a0layer\u00a0{layer}"


def legend(made: Figure, heading: str | None = None) -> None:
    """Put one legend to the right of all panels, each label once, in drawing order."""
    handles = {
        label: handle for axis in made.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    made.legend(handles.values(), handles.keys(), loc="outside right upper", title=heading)


def line(number: int, count: int) -> dict[str, Any]:
    """Return colour, marker and line style of line `number` of `count`; each property alone distinguishes the lines."""
    return {
        "color": shades(count)[number],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def band(axis: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: Any) -> None:
    """Shade an interval around a line, pale enough for other lines to show through."""
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=1)


def bars_of(middle: ArrayLike, low: ArrayLike, high: ArrayLike) -> Any:
    """Return (2, n) lengths below and above the middle, for `Axes.errorbar`; rounding never makes them negative."""
    import numpy as np

    middle, low, high = (np.asarray(values, dtype=np.float64) for values in (middle, low, high))
    return np.maximum(np.stack([middle - low, high - middle]), 0.0)


def notice(data: pandas.DataFrame, stem: Path | str, heading: str, message: str) -> None:
    """Write a figure that says why there is nothing to show."""
    with figure(1, 1, 0) as (made, (axis,)):
        made.set_size_inches(made.get_size_inches()[0], 0.6 * PANEL_HEIGHT)
        axis.set_axis_off()
        axis.text(0.5, 0.5, textwrap.fill(message, 48), ha="center", va="center", transform=axis.transAxes)
        title(made, heading)
        save(made, data, stem)


def percentages(values: Sequence[float]) -> list[str]:
    """Format percentages for axis ticks, `99.5`."""
    return [f"{value:.4g}" for value in values]


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return `count` colours from pale to dark; the palest still stands out on white."""
    from cmcrameri import cm

    if count == 1:
        return [tuple(cm.batlow(0.15))]
    return [tuple(cm.batlow(0.82 * (1 - index / (count - 1)))) for index in range(count)]


def whole_numbers(axis: Axes, values: Sequence[int]) -> None:
    """Put ticks of the x axis on whole numbers only, and a margin around a single one."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if len(set(values)) == 1:
        axis.set_xticks([values[0]])
        axis.set_xlim(values[0] - 1, values[0] + 1)


def layer_axis(axis: Axes, layers: Iterable[int]) -> None:
    """Space the evaluated layers evenly, each with a tick; label as many as there is room for.

    Studies evaluate the last layers closely and skip most of the others: drawn to scale, the last layers would touch.
    """
    import numpy as np

    every = sorted(set(layers))
    # Markers and margins also need positions between two layers and just beyond the ends.
    known, places = [every[0] - 1, *every, every[-1] + 1], range(-1, len(every) + 1)
    there, back = (lambda x: np.interp(x, known, places)), (lambda x: np.interp(x, places, known))
    axis.set_xscale("function", functions=(there, back))
    axis.set_xticks(every[:: math.ceil(len(every) / LABELLED)])
    axis.set_xticks(every, minor=True)
    axis.set_xlim(every[0] - 0.3, every[-1] + 0.3)
    axis.set_xlabel("layer ℓ, counted from 0")


def changes_from_base(axis: Axes, values: ArrayLike) -> None:
    """Scale an axis for changes of very different sizes, with the base as a dashed line at zero.

    If the largest change is more than ten times the median, the scale is linear up to a power of ten near the median
    and logarithmic beyond, so that both the few large changes and the many small ones can be told apart.
    """
    import numpy as np
    from matplotlib.ticker import SymmetricalLogLocator

    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if sizes.size and sizes.max() > 10 * np.median(sizes):
        linear = 10.0 ** round(math.log10(np.median(sizes)))
        axis.set_yscale("symlog", linthresh=linear)
        axis.yaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=linear, subs=range(2, 10)))
    axis.yaxis.set_major_formatter(lambda value, _: "0" if value == 0 else f"{value:+g}".replace("-", "−"))
    axis.axhline(0, color="black", linestyle="--", linewidth=1, label="base", zorder=3)


def save(made: Figure, data: pandas.DataFrame, stem: Path | str) -> None:
    """Write `<stem>.svg`, `<stem>.pdf` and the data behind them as `<stem>.csv`, atomically and without dates.

    The SVG has dark colours if the page that shows it does (`laser.analysis.dark`).
    """
    stem = Path(stem)
    for ending, undated in (("svg", "Date"), ("pdf", "CreationDate")):
        with atomic(stem.with_name(f"{stem.name}.{ending}")) as temporary:
            made.savefig(temporary, format=ending, metadata={undated: None})
            made.set_layout_engine("none")  # panels stay where they are: finding their places takes as long as drawing
            if ending == "svg":
                drawn = Path(temporary)
                drawn.write_text(with_dark_colours(drawn.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    write_text(stem.with_name(f"{stem.name}.csv"), to_csv(data))
