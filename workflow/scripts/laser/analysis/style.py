"""The look of every figure, and saving it so that equal data give equal bytes.

Colours come from cmcrameri's perceptually uniform maps and get darker in order; lines differ in marker as well, so that
figures can be read in grey.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

from laser.analysis.tables import to_csv
from laser.io.files import atomic, write_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

matplotlib.use("Agg")

PANEL_WIDTH, PANEL_HEIGHT, LEGEND_WIDTH, LEGEND_LINE = 3.1, 2.5, 1.9, 0.175
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
    """Yield a figure with rows × columns panels (row by row) and room on its right for a legend; close it after.

    Args:
        columns: panels side by side.
        rows: panels above each other.
        entries: lines of the legend; the figure is made high enough for them.
    """
    import matplotlib.pyplot as plt

    height = max(rows * PANEL_HEIGHT + 0.7, entries * LEGEND_LINE + 0.9)
    size = (columns * PANEL_WIDTH + LEGEND_WIDTH, height)
    everything: dict[Any, Any] = {**matplotlib.rcParamsDefault, "backend": "Agg", **SETTINGS}
    with matplotlib.rc_context(everything):
        made, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        try:
            yield made, list(axes.flat)
        finally:
            plt.close(made)


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return `count` colours from pale to dark; the palest still stands out on white."""
    from cmcrameri import cm

    if count == 1:
        return [tuple(cm.batlow(0.15))]
    return [tuple(cm.batlow(0.82 * (1 - index / (count - 1)))) for index in range(count)]


def whole_layers(axis: Axes, layers: list[int]) -> None:
    """Put ticks on whole layers only, and a margin around a lone one."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if len(layers) == 1:
        axis.set_xticks(layers)
        axis.set_xlim(layers[0] - 1, layers[0] + 1)
    axis.set_xlabel("layer ℓ, counted from 0")


def save(made: Figure, data: pandas.DataFrame, stem: Path | str) -> list[Path]:
    """Write `<stem>.svg`, `<stem>.pdf` and the data behind them as `<stem>.csv`, atomically and without dates.

    Returns:
        The three paths.
    """
    stem = Path(stem)
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "pdf", "csv")]
    for path, ending, undated in ((paths[0], "svg", "Date"), (paths[1], "pdf", "CreationDate")):
        with atomic(path) as temporary:
            made.savefig(temporary, format=ending, metadata={undated: None})
    write_text(paths[2], to_csv(data))
    return paths
