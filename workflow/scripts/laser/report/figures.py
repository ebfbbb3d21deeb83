"""Figures as the report shows them: the pictures of one artefact together, each with its files and a description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import read_table
from laser.errors import UserError, understood
from laser.report.files import copy_beside, unique_slugs
from laser.report.views import artefact_title

if TYPE_CHECKING:
    import pandas

FILMS = {".gif": "image", ".webp": "image", ".png": "image", ".mp4": "video", ".webm": "video"}
"""Endings of media beside the figures, and the element that shows them."""


def pictures(folder: Path, figures: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Copy figures into the report; return them by artefact, in their order.

    Args:
        folder: the report's.
        figures: name such as `fig2/<model>/<dataset>` to its SVG; the .pdf and .csv beside it are copied with it.

    Raises:
        UserError: a figure is missing, or the data behind it are damaged.
    """
    names = unique_slugs(figures)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, path in figures.items():
        artefact, *rest = name.split("/")
        links = copy_beside(path, folder, "figures", names[name], (".svg", ".pdf", ".csv"))
        data = Path(path).with_suffix(".csv")
        with understood(data):
            frame = read_table(data) if data.is_file() else None
            title = _title(frame) or " ".join(rest)
            alt = _alternative(artefact, title, frame)
        one = {"id": names[name], "title": title, "source": links[0]["href"], "alt": alt, "links": links}
        found.setdefault(artefact, []).append(one)
    return found


def films(folder: Path, media: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Copy media (films, GIFs, photographs) into the report; return them by artefact.

    A file is `<study>/figures/<artefact>/….gif` (or .webp, .png, .mp4, .webm); the text beside it, with the ending
    .txt, says what it shows, for those who cannot see it.

    Raises:
        UserError: the text is missing or empty, or the ending is not known.
    """
    names = unique_slugs(str(path) for path in media)
    found: dict[str, list[dict[str, Any]]] = {}
    for path in media:
        if path.suffix not in FILMS:
            raise UserError(f"{path}: the report shows {', '.join(FILMS)}, not '{path.suffix}'.")
        try:
            alt = " ".join(path.with_suffix(".txt").read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path.with_suffix('.txt')}: cannot be read ({error}). Say there what {path} shows."
            ) from error
        if not alt:
            raise UserError(f"{path.with_suffix('.txt')}: is empty. Say there what {path.name} shows.")
        inside = (
            path.parts[len(path.parts) - 1 - path.parts[::-1].index("figures") :] if "figures" in path.parts else ()
        )
        artefact = inside[1] if len(inside) > 2 else path.parent.name
        links = copy_beside(path, folder, "media", names[str(path)][-80:].lstrip("-."), (path.suffix,))
        one: dict[str, Any] = {"alt": alt, "source": links[0]["href"], "kind": FILMS[path.suffix], "links": links}
        found.setdefault(artefact, []).append(one | {"title": path.stem.replace("-", " ").replace("_", " ")})
    return found


def _title(frame: pandas.DataFrame | None) -> str:
    """Name what a figure shows by the first row of the data behind it; empty where there are none."""
    if frame is None or not len(frame):
        return ""
    row = frame.iloc[0].to_dict()
    first = {key: "" if _missing(row.get(key)) else str(row[key]) for key in ("model", "dataset", "protocol")}
    title = " on ".join(first[key] for key in ("model", "dataset") if first[key])
    return title + (f", {first['protocol']} protocol" if first["protocol"] else "")


def _missing(value: Any) -> bool:
    return value is None or value != value or value == ""


def _alternative(artefact: str, title: str, frame: pandas.DataFrame | None) -> str:
    """Describe a figure for those who cannot see it: what it shows, and its extreme points where it is Figure 2."""
    text = f"{artefact_title(artefact)}, {title}." if title else f"{artefact_title(artefact)}."
    if artefact != "fig2" or frame is None or not len(frame):
        return text + " The data are in the CSV below."
    ordered = frame.sort_values("loss").to_dict("records")
    low, high = ordered[0], ordered[-1]
    ends = "; ".join(
        f"{word} loss {row['loss']:.2f} nats for {row['matrix']} in layer {row['layer']} at ρ = {row['rank']:g}"
        for word, row in (("lowest", low), ("highest", high))
    )
    return f"{text} Validation loss by layer, a panel per matrix, a line per rank; {ends}; base {low['base_loss']:.2f}."
