"""Figure 10: the grid of Figure 2 for other ways to take the same amount away: pruning, or the largest components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from laser.artefacts.fig2 import fig2

if TYPE_CHECKING:
    import pandas


def fig10(
    landscape: pandas.DataFrame, base: pandas.DataFrame, stem: Path | str, protocol: str, kind: str = "pruning"
) -> pandas.DataFrame:
    """Draw Figure 10 for one model and dataset, laid out as Figure 2.

    Args:
        landscape: averages of one cell (`laser.results.landscape.load_landscape`).
        base: averages of the unmodified model on the same rows, from the same call.
        stem: path without ending; writes <stem>.svg, .pdf and .csv.
        protocol: `published` or `corrected`.
        kind: `pruning` (the paper's Figure 10) or `smallest`, the control that keeps what rank reduction removes.

    Returns:
        The data that is drawn (`laser.artefacts.fig2.fig2_data`).
    """
    return fig2(landscape, base, stem, protocol, kind=kind)
