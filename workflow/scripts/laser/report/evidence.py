"""Links from each number of the report to its rows, the choice behind it, and the job records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from laser.analysis.tables import View
from laser.paper.published import Published
from laser.report.files import Link, link_outside
from laser.report.rows import Names


def cell_links(
    rows: Mapping[Names, Link], choices: Mapping[tuple[str, str], Link], root: Path, folder: Path
) -> dict[Names, list[Link]]:
    """Return, per cell of Table 1, links to its rows, its choice and the record of its test job.

    Args:
        rows: links to the rows (`laser.report.rows.write_rows`).
        choices: links to the choices (`laser.report.choices.write_choices`).
        root: the study's folder.
        folder: folder of the report.
    """
    links = {}
    for (model, dataset, protocol), rows_link in rows.items():
        about = f"of {model} on {dataset}"
        links[model, dataset, protocol] = [
            rows_link,
            choices[model, dataset],
            *link_outside(
                root / f"records/test_intervention/{model}/{dataset}.json", folder, root, "Record", f"Record {about}"
            ),
        ]
    return links


def by_paper_names(cells: Mapping[Names, Sequence[Link]], published: Published) -> dict[Names, Sequence[Link]]:
    """Return the links also under the paper's names, if exactly one cell corresponds to the paper's cell."""
    by_names: dict[Names, list[Sequence[Link]]] = {}
    for (model, dataset, protocol), links in cells.items():
        names = (published.models.get(model, ""), published.datasets.get(dataset, ""), protocol)
        by_names.setdefault(names, []).append(links)
    return {
        **{names: candidates[0] for names, candidates in by_names.items() if len(candidates) == 1 and all(names)},
        **cells,
    }


def evidence(view: View, cells: Mapping[Names, Sequence[Link]]) -> list[Sequence[Link]]:
    """Return the links for every line of a view about one model on one dataset; empty if no line has any.

    The protocol is that of the line if the view has such a column, otherwise the one at the end of the view's name.
    """
    columns = {"Dataset" if name == "Rooms" else name: column for column, name in enumerate(view.columns)}
    if not {"Model", "Dataset"} <= set(columns):
        return []
    lines = []
    for row in view.rows:
        column = columns.get("Protocol", columns.get("Our protocol"))
        protocol = view.name.rpartition("_")[2] if column is None else row[column]
        lines.append(cells.get((row[columns["Model"]], row[columns["Dataset"]], protocol), ()))
    return lines if any(lines) else []


def record_links(artefact: str, root: Path, folder: Path) -> list[Link]:
    """Return the link to the record of the job that made a table or figure."""
    path = root / f"records/{artefact}/{artefact}.json"
    return link_outside(path, folder, root, "Record", f"Record of how {artefact} was made")
