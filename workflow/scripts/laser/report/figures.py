"""Figures as the report shows them: grouped by artefact, each picture with its files and a description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import number, read_table
from laser.config.artefacts import declared
from laser.errors import understood
from laser.report.files import copy_beside, unique_slugs

if TYPE_CHECKING:
    import pandas


def pictures(folder: Path, figures: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Copy figures into the report; return them by artefact, in the given order.

    Args:
        folder: folder of the report.
        figures: maps a name such as `fig2/<model>/<dataset>` to its SVG; the .pdf and .csv beside it are copied too.

    Raises:
        UserError: a figure is missing, or the data behind it are damaged.
    """
    names = unique_slugs(figures)
    by_artefact: dict[str, list[dict[str, Any]]] = {}
    for name, path in figures.items():
        artefact, *rest = name.split("/")
        links = copy_beside(path, folder, "figures", names[name], (".svg", ".pdf", ".csv"))
        data = Path(path).with_suffix(".csv")
        with understood(data):
            frame = read_table(data, declared()[artefact].texts) if data.is_file() else None
            title = _title(frame) or " ".join(rest)
            alt = _alternative(artefact, title, frame)
        picture = {"id": names[name], "title": title, "source": links[0]["href"], "alt": alt, "links": links}
        by_artefact.setdefault(artefact, []).append(picture)
    return by_artefact


def films(folder: Path, media: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Copy films into the report; return them by artefact.

    Args:
        folder: folder of the report.
        media: maps a name such as `film/<model>/<dataset>` to its GIF; the CSV beside it, which holds every move of
            both arms, is copied too, and tells what those who cannot see the film read.

    Raises:
        UserError: the CSV of a film is missing or damaged.
    """
    names = unique_slugs(media)
    by_artefact: dict[str, list[dict[str, Any]]] = {}
    for name, path in media.items():
        artefact = name.split("/")[0]
        title, alt = _told(path.with_suffix(".csv"), declared()[artefact].texts)
        links = copy_beside(path, folder, "media", names[name], (".gif", ".csv"))
        film = {"title": title, "alt": alt, "source": links[0]["href"], "links": links}
        by_artefact.setdefault(artefact, []).append(film)
    return by_artefact


def _told(moves: Path, texts: Sequence[str]) -> tuple[str, str]:
    """Return a film's title and a description of what it shows."""
    with understood(moves):
        frame = read_table(moves, texts)
        title = _title(frame)
        ends = frame.groupby("arm", sort=False).tail(1).to_dict("records")
        return title, f"Base (left) and LASER (right), {title}: " + "; ".join(map(_ending, ends)) + "."


def _ending(row: Mapping[Any, Any]) -> str:
    arm = "LASER" if row["arm"] == "laser" else row["arm"]
    steps = f"{row['step']} step{'' if int(row['step']) == 1 else 's'}"
    return f"{arm} {'has solved' if row['solved'] else 'has not solved'} the room after {steps}"


def _title(frame: pandas.DataFrame | None) -> str:
    """Return a figure's title from the first row of its data; empty if there is no data."""
    if frame is None or not len(frame):
        return ""
    row = frame.iloc[0].to_dict()
    first = {key: "" if _missing(row.get(key)) else str(row[key]) for key in ("model", "dataset", "protocol")}
    title = " on ".join(first[key] for key in ("model", "dataset") if first[key])
    return title + (f", {first['protocol']} protocol" if first["protocol"] else "")


def _missing(value: Any) -> bool:
    return value is None or value != value or value == ""


def _alternative(artefact: str, title: str, frame: pandas.DataFrame | None) -> str:
    """Describe a figure for readers who cannot see it: what it shows and, for Figure 2, its extreme points."""
    text = ", ".join(part for part in (declared()[artefact].title, title) if part) + "."
    if artefact != "fig2" or frame is None or not len(frame):
        return text + " The data are in the CSV below."
    ordered = frame.sort_values("difference").to_dict("records")
    ends = "; ".join(
        f"{word} {number(row['difference'], 2, sign=True)} nats for {row['matrix']} in layer {row['layer']} at "
        f"ρ = {row['rho']:g}"
        for word, row in (("lowest", ordered[0]), ("highest", ordered[-1]))
    )
    return f"{text} Change of the validation loss by layer, a panel per matrix, a line per rho; {ends}."
