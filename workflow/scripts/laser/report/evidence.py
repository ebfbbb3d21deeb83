"""Where each number of the report can be followed to: its rows, the choice behind it, and the records of the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from laser.analysis.tables import View
from laser.paper.published import Published
from laser.report.files import Link, link_outside
from laser.report.rows import Names


def cell_links(rows: Mapping[Names, Link], root: Path, folder: Path) -> dict[Names, list[Link]]:
    """Return, per cell of Table 1, links to its rows, its selection and the record of its test job.

    Args:
        rows: the links to the rows (`laser.report.rows.write_rows`).
        root: the study's folder.
        folder: the report's.
    """
    found = {}
    for (model, dataset, protocol), link in rows.items():
        about = f"of {model} on {dataset}"
        found[model, dataset, protocol] = [
            link,
            *link_outside(root / f"selection/{model}/{dataset}.json", folder, root, "Choice", f"Choice {about}"),
            *link_outside(
                root / f"records/test_intervention/{model}/{dataset}.json", folder, root, "Record", f"Record {about}"
            ),
        ]
    return found


def by_paper_names(cells: Mapping[Names, Sequence[Link]], published: Published) -> dict[Names, Sequence[Link]]:
    """Return the links under the paper's names too, where one cell alone stands for the paper's."""
    found: dict[Names, list[Sequence[Link]]] = {}
    for (model, dataset, protocol), links in cells.items():
        names = (published.models.get(model, ""), published.datasets.get(dataset, ""), protocol)
        found.setdefault(names, []).append(links)
    return {**{names: one[0] for names, one in found.items() if len(one) == 1 and all(names)}, **cells}


def evidence(view: View, cells: Mapping[Names, Sequence[Link]]) -> list[Sequence[Link]]:
    """Return the links of every line of a view that is about one model on one dataset; empty where none has any.

    The protocol is the line's own where the view has such a column, else the one that the view's name ends with.
    """
    places = {"Dataset" if name == "Rooms" else name: place for place, name in enumerate(view.columns)}
    if not {"Model", "Dataset"} <= set(places):
        return []
    lines = []
    for row in view.rows:
        place = places.get("Protocol", places.get("Our protocol"))
        own = view.name.rpartition("_")[2] if place is None else row[place]
        lines.append(cells.get((row[places["Model"]], row[places["Dataset"]], own), ()))
    return lines if any(lines) else []


def record_links(artefact: str, root: Path, folder: Path) -> list[Link]:
    """Return the link to the record of the job that made a table or a figure."""
    path = root / f"records/{artefact}/{artefact}.json"
    return link_outside(path, folder, root, "Record", f"Record of how {artefact} was made")
