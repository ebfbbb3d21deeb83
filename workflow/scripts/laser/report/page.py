"""An offline folder that presents a study: index.html, and beside it the tables, figures and rows that it shows.

The page needs no network, works from file://, and escapes every text, because what a model generates is data. Equal
results give equal bytes; times and machines are in run.html beside it.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import mark_parts, mark_quantised, read_table
from laser.config.artefacts import declared
from laser.config.searches import GRADIENT, searches_by
from laser.errors import UserError, understood
from laser.io.files import read_json, write_text
from laser.paper.published import read_published
from laser.report.choices import write_choices
from laser.report.dumbbells import picture
from laser.report.evidence import by_paper_names, cell_links, evidence, record_links
from laser.report.explorer import EXPLORER, SweepFiles, write_explorer
from laser.report.figures import films, pictures
from laser.report.files import Link, copy_beside, slug
from laser.report.render import render
from laser.report.rows import Names, write_questions, write_rows
from laser.report.run_page import machines, timings
from laser.report.shown import view_values
from laser.report.summary import Summary, general_cautions, in_one_sentence, replications, summarise
from laser.results.loading import load_selections

if TYPE_CHECKING:
    import pandas

CAPTIONS = Path(__file__).resolve().parents[3] / "report"
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pandas", "scipy", "matplotlib")
PARTS = ("tables", "figures", "media", "rows", "questions", "choices", EXPLORER)
"""Folders beside the page that are rewritten with it."""


def write_report(
    folder: Path | str,
    study: Mapping[str, Any],
    tables: Mapping[str, Path],
    figures: Mapping[str, Path],
    model_cards: Sequence[Path] = (),
    dataset_cards: Sequence[Path] = (),
    *,
    tests: Sequence[Path] = (),
    selections: Sequence[Path] = (),
    rows: Sequence[Path] = (),
    media: Mapping[str, Path] | None = None,
    sweeps: Sequence[SweepFiles] = (),
    root: Path | str | None = None,
) -> Path:
    """Write the report.

    Args:
        folder: output folder of index.html, explorer.html and the folders in `PARTS`.
        study: the resolved study: title, description, and all settings, shown unchanged.
        tables: maps an artefact (`laser.config.artefacts.declared`) to its CSV; `table1` is needed for the
            summary. The .md and .tex beside a CSV are copied too.
        figures: maps a name such as `fig2/<model>/<dataset>` to its SVG; the .pdf and .csv beside it are copied too.
        model_cards: card.json of the models.
        dataset_cards: card.json of the datasets.
        tests: test/<model>/<dataset>.parquet, whose rows the report provides as CSV.
        selections: selection/<model>/<dataset>.json of the same cells.
        rows: rows.parquet of the datasets.
        media: maps a name such as `film/<model>/<dataset>` to a film (`laser.report.figures.films`).
        sweeps: validation rows of every intervention and of the base model, for the cells of `selections`.
        root: the study's folder, which holds the linked records and selections; the parent folder by default.

    Returns:
        The path of index.html, which is written last.

    Raises:
        UserError: a table, figure, card or caption is missing or damaged.
    """
    folder = Path(folder)
    root = folder.parent if root is None else Path(root)
    frames = {name: read_table(path, declared()[name].texts) for name, path in tables.items()}
    for part in PARTS:  # an earlier page may have artefacts that the study no longer asks for
        shutil.rmtree(folder / part, ignore_errors=True)
    published, selected = read_published(), load_selections(selections)
    choices = write_choices(folder, study, dict(zip(selections, selected, strict=True)), root, published)
    cells = by_paper_names(
        cell_links(write_rows(folder, study, tests, selections, rows), choices, root, folder), published
    )
    parts, quantised = _marks(dataset_cards, "partial"), _marks(model_cards, "quantised_before")
    shown = [_table(folder, name, frames[name], path, cells, root, parts, quantised) for name, path in tables.items()]
    # Games have their own first table, with the same columns as Table 1.
    first = next((name for name in ("table1", "table2") if name in frames), None)
    with understood(tables[first] if first else folder):
        summaries = summarise(frames[first], selected, frames.get("by_relation")) if first else []
        general = general_cautions(frames[first], quantised, parts, searches_by(study, GRADIENT)) if first else []
        drawn_pairs = {summary.protocol: picture(summary.pairs) for summary in summaries}
    with understood(tables.get("verdicts", folder)):
        protocols = [summary.protocol for summary in summaries]
        replicated = replications(frames["verdicts"], protocols) if "verdicts" in frames else {}
    explorer = write_explorer(folder, study, sweeps, selections, rows, tests)
    drawn, filmed = pictures(folder, figures), films(folder, media or {})
    text = render(
        "page.html.j2",
        study=study,
        sentence=in_one_sentence(summaries),
        summaries=summaries,
        pictures=drawn_pairs,
        cautions=_by_protocol(general, summaries),
        replications=replicated,
        compared=any(replication.compared for replication in replicated.values()),
        verdicts=[table for table in shown if table["name"] == "verdicts"],
        tables=[table for table in shown if table["name"] != "verdicts"],
        figures=[
            {
                "id": slug(name),
                "title": declared()[name].title,
                "pictures": drawn.get(name, []),
                "films": filmed.get(name, []),
                "caption": caption(name),
                "records": record_links(name, root, folder),
            }
            for name in dict.fromkeys([*drawn, *filmed])
        ],
        model_cards=[_card(path) for path in model_cards],
        dataset_cards=[_card(path) for path in dataset_cards],
        explorer=explorer,
        questions=list(write_questions(folder, rows).values()),
        settings=json.dumps(study, indent=2, sort_keys=True, ensure_ascii=False, default=str),
        versions=versions(),
    )
    write_text(folder / "index.html", text)
    return folder / "index.html"


def write_run_page(folder: Path | str, study: Mapping[str, Any], runs: Mapping[Path, str]) -> Path:
    """Write run.html: what differs between runs.

    Args:
        folder: folder of the report.
        study: the resolved study.
        runs: maps the file of each job's run to its rule.

    Raises:
        UserError: a run is damaged.
    """
    path = Path(folder) / "run.html"
    write_text(path, render("run.html.j2", study=study, timings=timings(runs), machines=machines(runs)))
    return path


def _by_protocol(general: Sequence[str], summaries: Sequence[Summary]) -> list[tuple[str, list[str]]]:
    """Group cautions by protocol; those about the whole study come first, without a protocol."""
    if len(summaries) == 1:
        listed = [("", [*general, *summaries[0].cautions])]
    else:
        listed = [("", list(general)), *((summary.protocol, summary.cautions) for summary in summaries)]
    return [(protocol, items) for protocol, items in listed if items]


def _marks(cards: Sequence[Path], key: str) -> dict[str, str]:
    """Return the cards' values of a key that marks results, by the name of the dataset or model."""
    known = [card for path in cards if isinstance(card := read_json(path), dict)]
    return {str(card.get("name")): str(card[key]) for card in known if card.get(key)}


def _table(
    folder: Path,
    name: str,
    frame: pandas.DataFrame,
    path: Path,
    cells: Mapping[Names, Sequence[Link]],
    root: Path,
    parts: Mapping[str, str],
    quantised: Mapping[str, str],
) -> dict[str, Any]:
    artefact = declared()[name]
    with understood(path):
        show = getattr(artefact.module, "report_views", artefact.module.views)
        views = mark_quantised(mark_parts(show(frame), frame, parts), frame, quantised) if len(frame) else []
    return {
        "name": name,
        "id": slug(name),
        "title": artefact.title,
        "views": [
            view_values(view, evidence(view, cells), view.name in NUMERIC or not (artefact.wordy or view.name in WORDY))
            for view in views
        ],
        "caption": caption(name),
        "links": copy_beside(path, folder, "tables", slug(name), (".csv", ".md", ".tex")),
        "records": record_links(name, root, folder),
    }


NUMERIC, WORDY = ("verdicts",), ("predictions",)
"""Names of views that are formatted differently from the other views of their artefact."""


def caption(artefact: str) -> list[str]:
    """Return the paragraphs of an artefact's caption, <artefact>.rst, as plain text."""
    path = CAPTIONS / f"{artefact}.rst"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: the caption of {artefact} cannot be read ({error.strerror}). Write it there."
        ) from error
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text.strip())]


def _card(path: Path) -> dict[str, Any]:
    card = read_json(path)
    if not isinstance(card, dict):
        raise UserError(
            f"{path}: a card is a JSON object, but this is a {type(card).__name__}. Delete it and run again."
        )
    items = [(key.replace("_", " "), _plain(value)) for key, value in card.items() if key not in ("name", "spec")]
    return {"name": str(card.get("name", Path(path).parent.name)), "items": items}


def _plain(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, indent=1, ensure_ascii=False) if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)


def versions() -> list[tuple[str, str]]:
    """Return the versions of Python and of the installed packages that affect numbers."""
    installed = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            installed.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
