"""Looking at a figure instead of saving it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd


def watch(monkeypatch: Any, module: Any, laid_out: bool = True) -> dict[str, Any]:
    """Replace a module's `save` and return what is seen of the last figure that it would have saved.

    labels: of the legend; texts: in the panels; rows: labels of the vertical axes' ticks; axes: (title, x label,
    y label); axes_drawn: the panels themselves; clashes: pairs of things that overlap or leave the page (panels with
    their labels, legend, title, and the tick labels of one axis). There are rows and clashes only where the figure is
    laid out, which takes most of the time.
    """
    seen: dict[str, Any] = {}

    def inspect(made: Any, data: pd.DataFrame, stem: Path) -> None:
        seen.clear()
        legends = made.legends
        seen["labels"] = [text.get_text() for legend in legends for text in legend.get_texts()]
        seen["texts"] = [text.get_text() for axis in made.axes for text in axis.texts]
        seen["axes"] = [(axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) for axis in made.axes]
        seen["axes_drawn"] = list(made.axes)
        seen["title"] = made.get_suptitle()
        seen["lines"] = [axis.get_lines() for axis in made.axes]
        if laid_out:
            made.draw_without_rendering()
            seen["rows"] = [label.get_text() for axis in made.axes for label in axis.get_yticklabels()]
            seen["clashes"] = clashes(made)

    monkeypatch.setattr(module, "save", inspect)
    return seen


def clashes(made: Any) -> list[str]:
    """Return what overlaps in a drawn figure, or is not wholly on its page."""
    renderer, page = made.canvas.get_renderer(), made.bbox
    boxes = {f"panel {number}": axis.get_tightbbox(renderer) for number, axis in enumerate(made.axes)}
    boxes |= {f"legend {number}": one.get_window_extent(renderer) for number, one in enumerate(made.legends)}
    boxes["title"] = made._suptitle.get_window_extent(renderer)
    found = [
        f"{first} and {second}"
        for (first, one), (second, other) in itertools.combinations(boxes.items(), 2)
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    ]
    for name, box in boxes.items():
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
            found.append(f"{name} and the page's edge")
    for number, axis in enumerate(made.axes):
        for which in (axis.xaxis, axis.yaxis):
            # A turned label's box is larger than the label; those are looked at as pictures.
            low, high = sorted(which.get_view_interval())
            shown = [tick.label1 for tick in which.get_major_ticks() if low <= tick.get_loc() <= high]
            upright = [text for text in shown if text.get_text() and not text.get_rotation()]
            extents = [text.get_window_extent(renderer) for text in upright]
            for (one, first), (other, second) in itertools.combinations(zip(extents, upright, strict=True), 2):
                if one.overlaps(other):
                    found.append(f"ticks {first.get_text()!r} and {second.get_text()!r} of panel {number}")
    return found
