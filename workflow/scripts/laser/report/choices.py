"""One page per model and dataset with every candidate of the choice and its scores on validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from laser.analysis.tables import View, integer, intervention, number
from laser.errors import understood
from laser.io.files import write_text
from laser.paper.published import Published
from laser.report.files import Link, link_outside, slug, unique_slugs
from laser.report.render import render
from laser.report.shown import view_values
from laser.report.summary import apart
from laser.results.cells import same_intervention

FOLDER = "choices"


def write_choices(
    folder: Path,
    study: Mapping[str, Any],
    selections: Mapping[Path, Mapping[str, Any]],
    root: Path,
    published: Published,
) -> dict[tuple[str, str], Link]:
    """Write `choices/<model>-<dataset>.html`; return a link per model and dataset.

    Args:
        folder: folder of the report.
        study: the resolved study.
        selections: maps selection/<model>/<dataset>.json to its contents (`laser.results.loading.load_selections`).
        root: the study's folder, which holds the linked selection files.
        published: the paper's choices, which are marked if they were candidates.

    Raises:
        UserError: the scores of a candidate are damaged.
    """
    names = unique_slugs("-".join((each["model"], each["dataset"])) for each in selections.values())
    links = {}
    for given, selection in selections.items():
        model, dataset = selection["model"], selection["dataset"]
        path = folder / FOLDER / f"{names['-'.join((model, dataset))]}.html"
        source = root / f"selection/{model}/{dataset}.json"
        paper = published.choice(model, dataset)
        with understood(given):
            protocols = [_protocol(name, selected, paper) for name, selected in selection["protocols"].items()]
        text = render(
            "choice.html.j2",
            study=study,
            name=f"{model} on {dataset}",
            rule=str(selection.get("rule", "")),
            protocols=protocols,
            files=link_outside(source, path.parent, root, "JSON", f"Selection of {model} on {dataset} as JSON"),
        )
        write_text(path, text)
        links[model, dataset] = {
            "href": quote(f"{FOLDER}/{path.name}"),
            "text": "Choice",
            "label": f"Choice of {model} on {dataset}",
        }
    return links


def _protocol(name: str, selected: Mapping[str, Any], paper: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the page shows about the choice under one protocol."""
    chosen, base = selected["chosen"], selected["validation"]["base"]
    return {
        "name": name,
        "id": slug(f"protocol-{name}"),
        "sentence": _sentence(chosen, selected["validation"], len(selected["candidates"])),
        "view": view_values(_view(name, selected["candidates"], chosen, base, paper)),
    }


def _sentence(chosen: Mapping[str, Any] | None, validation: Mapping[str, Any], candidates: int) -> str:
    base, rows = validation["base"], f"{integer(validation['base']['n'])} validation rows"
    of = f"{candidates} candidate{'' if candidates == 1 else 's'}"
    if chosen is None:
        return f"The base model was kept: none of {of} beat its {number(base['accuracy'], 1)} % on {rows}."
    best = validation.get("chosen") or base
    before, after = apart(base["accuracy"], best["accuracy"], 1)
    named = intervention(chosen["matrix"], chosen["layer"], chosen["rho"], chosen.get("kept_rank"))
    return f"Of {of}, {named} was chosen: {after} % on {rows}, where the base model has {before} %."


def _view(
    name: str,
    candidates: Sequence[Mapping[str, Any]],
    chosen: Mapping[str, Any] | None,
    base: Mapping[str, Any],
    paper: Mapping[str, Any] | None,
) -> View:
    """Return the base model and then the candidates, in their order."""
    columns = [
        "Candidate",
        "Kept rank",
        "Accuracy, %",
        "Over base, points",
        "Loss, nats",
        "Over base, nats",
        "n",
        "Mark",
    ]
    rows = [["base", "", number(base["accuracy"], 1), "", number(base["loss"], 3), "", integer(base["n"]), ""]]
    bold: set[tuple[int, int]] = set()
    if chosen is None:
        rows[0][-1] = "chosen"
        bold.add((0, len(columns) - 1))
    for candidate in candidates:
        marks = []
        if chosen is not None and same_intervention(candidate, chosen):
            marks.append("chosen")
            bold.add((len(rows), len(columns) - 1))
        if paper is not None and same_intervention(candidate, paper):
            marks.append("the paper's choice")
        rows.append(
            [
                intervention(candidate["matrix"], candidate["layer"], candidate["rho"]),
                integer(candidate.get("kept_rank")),
                number(candidate["accuracy"], 1),
                number(candidate["accuracy"] - base["accuracy"], 1, True),
                number(candidate["loss"], 3),
                number(_difference(candidate["loss"], base["loss"]), 3, True),
                integer(candidate["n"]),
                ", ".join(marks),
            ]
        )
    title = f"Candidates on validation rows, {name} protocol"
    notes = [
        "A candidate is [matrix, layer counted from 0, ρ: the fraction of the maximum rank that is kept].",
        "A loss is empty where the model overflows on a row, which counts as wrong.",
    ]
    return View(f"candidates-{name}", title, columns, rows, bold, notes)


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
