"""One offline folder that shows a study: index.html, and beside it the tables and figures that it shows.

The page asks for nothing from any network, works from file://, and escapes every text: what a model generates is data.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import platform
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import read_table
from laser.errors import UserError
from laser.io.files import atomic, read_json, write_text
from laser.report.summary import summarise
from laser.report.views import VIEWS, artefact_title

if TYPE_CHECKING:
    import pandas

TEMPLATES = Path(__file__).resolve().parent / "templates"
CAPTIONS = Path(__file__).resolve().parents[3] / "report"
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pandas", "scipy", "statsmodels", "matplotlib")


def write_report(
    folder: Path | str,
    study: Mapping[str, Any],
    tables: Mapping[str, Path],
    figures: Mapping[str, Path],
    model_cards: Sequence[Path] = (),
    dataset_cards: Sequence[Path] = (),
    benchmarks: Mapping[str, Sequence[Path]] | None = None,
    captions: Path = CAPTIONS,
    films: Mapping[str, Path] | None = None,
) -> Path:
    """Write the report.

    Args:
        folder: where index.html, tables/ and figures/ go.
        study: the resolved study: title, description, and all settings, shown as they are.
        tables: artefact name (`laser.report.views.VIEWS`) to its CSV; `table1` is needed for the
            summary. The .md and .tex beside a CSV are copied with it.
        figures: name such as `fig2/<model>/<dataset>` to its SVG; the .pdf and .csv beside it are copied with it.
        model_cards: card.json of the models.
        dataset_cards: card.json of the datasets.
        benchmarks: rule to Snakemake's benchmark files (.jsonl) of its jobs.
        captions: the folder of <artefact>.rst.
        films: name such as `film/<model>/<dataset>` to its GIF; the .csv beside it is copied with it.

    Returns:
        The path of index.html, which is written last.

    Raises:
        UserError: a table, figure, card or caption is missing or damaged.
    """
    import jinja2

    folder = Path(folder)
    frames = {name: read_table(path) for name, path in tables.items()}
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("page.html.j2").render(
        study=study,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        summaries=summarise(frames["table1"] if "table1" in frames else frames["table2"])
        if {"table1", "table2"} & set(frames)
        else [],
        tables=[_table(folder, name, frames[name], path, captions) for name, path in tables.items()],
        figures=[_figure(folder, name, path, captions) for name, path in figures.items()],
        films=[_film(folder, name, path, captions) for name, path in (films or {}).items()],
        model_cards=[_card(path) for path in model_cards],
        dataset_cards=[_card(path) for path in dataset_cards],
        settings=json.dumps(study, indent=2, sort_keys=True, ensure_ascii=False, default=str),
        versions=versions(),
        timings=timings(benchmarks or {}),
    )
    write_text(folder / "index.html", text)
    return folder / "index.html"


def _table(folder: Path, name: str, frame: pandas.DataFrame, path: Path, captions: Path) -> dict[str, Any]:
    if name not in VIEWS:
        raise UserError(f"The report has no table '{name}'. Allowed: {', '.join(VIEWS)}.")
    views = VIEWS[name](frame) if len(frame) else []
    return {
        "id": slug(name),
        "views": [{"id": slug(view.name), "view": view} for view in views],
        "caption": caption(captions, name),
        "links": _copy(path, folder, "tables", slug(name), (".csv", ".md", ".tex")),
    }


def _figure(folder: Path, name: str, path: Path, captions: Path) -> dict[str, Any]:
    artefact, *rest = name.split("/")
    links = _copy(path, folder, "figures", slug(name), (".svg", ".pdf", ".csv"))
    title = _figure_title(path.with_suffix(".csv")) or " ".join(rest)
    return {
        "id": slug(name),
        "title": f"{artefact_title(artefact)}{': ' + title if title else ''}",
        "source": links[0]["href"],
        "alt": _alternative(artefact, title, path.with_suffix(".csv")),
        "caption": caption(captions, artefact),
        "links": links,
    }


def _film(folder: Path, name: str, path: Path, captions: Path) -> dict[str, Any]:
    """Copy a film with the CSV of its moves, and say in words what can be seen."""
    links = _copy(path, folder, "figures", slug(name), (".gif", ".csv"))
    data = path.with_suffix(".csv")
    title = _figure_title(data)
    ends = read_table(data).groupby("arm", sort=False).tail(1).to_dict("records") if data.is_file() else []
    told = "; ".join(
        f"{'LASER' if row['arm'] == 'laser' else 'base'} "
        f"{'solves the room' if row['solved'] else 'has not solved the room'} after {row['step']} steps, "
        f"return {row['return']:.1f}"
        for row in ends
    )
    return {
        "id": slug(name),
        "title": f"Film: {title}",
        "source": links[0]["href"],
        "alt": f"Animation of a Sokoban room, base on the left and LASER on the right, {title}: {told}.",
        "caption": [*caption(captions, "film"), f"{told[:1].upper()}{told[1:]}."],
        "links": links,
    }


def _figure_title(data: Path) -> str:
    """Name what a figure shows by the first row of the data behind it; empty where there are none."""
    rows = read_table(data).to_dict("records") if data.is_file() else []
    if not rows:
        return ""
    first = {key: str(rows[0].get(key) or "") for key in ("model", "dataset", "protocol")}
    title = " on ".join(first[key] for key in ("model", "dataset") if first[key])
    return title + (f", {first['protocol']} protocol" if first["protocol"] else "")


def _alternative(artefact: str, title: str, data: Path) -> str:
    """Describe a figure for those who cannot see it: what it shows, and its extreme points where it is Figure 2."""
    text = f"{artefact_title(artefact)}, {title}." if title else f"{artefact_title(artefact)}."
    if artefact != "fig2" or not data.is_file():
        return text + " The data are in the CSV below."
    frame = read_table(data)
    ordered = frame.sort_values("loss").to_dict("records")
    low, high = ordered[0], ordered[-1]
    ends = "; ".join(
        f"{word} loss {row['loss']:.2f} nats for {row['matrix']} in layer {row['layer']} at ρ = {row['rank']:g}"
        for word, row in (("lowest", low), ("highest", high))
    )
    return f"{text} Validation loss by layer, a panel per matrix, a line per rank; {ends}; base {low['base_loss']:.2f}."


def caption(folder: Path, artefact: str) -> list[str]:
    """Return the paragraphs of an artefact's caption, <artefact>.rst, as plain text."""
    path = Path(folder) / f"{artefact}.rst"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: the caption of {artefact} cannot be read ({error.strerror}). Write it there."
        ) from error
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text.strip())]


def _copy(path: Path, folder: Path, below: str, name: str, endings: Iterable[str]) -> list[dict[str, str]]:
    """Copy a file and those beside it with other endings; return links to them, the given file's own among them."""
    links = []
    for ending in endings:
        source = Path(path).with_suffix(ending)
        if source == Path(path) and not source.is_file():
            raise UserError(f"{source}: does not exist, but the report shows it. Run the rule that makes it.")
        if source.is_file():
            target = folder / below / f"{name}{ending}"
            with atomic(target) as temporary:
                shutil.copyfile(source, temporary)
            links.append({"href": f"{below}/{name}{ending}", "text": ending[1:].upper()})
    return links


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


def slug(name: str) -> str:
    """Return a name that is safe as a file name and an HTML id: letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


def versions() -> list[tuple[str, str]]:
    """Return the versions of Python and of the packages that shape numbers, where installed."""
    found = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def timings(benchmarks: Mapping[str, Iterable[Path]]) -> list[dict[str, Any]]:
    """Sum Snakemake's benchmark files by rule: jobs, hours in all, largest memory in MB.

    Raises:
        UserError: a file is no benchmark in JSON lines.
    """
    rules: dict[str, dict[str, Any]] = {}
    for rule, path in ((rule, path) for rule, paths in benchmarks.items() for path in paths):
        try:
            lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
            for line in lines:
                sums = rules.setdefault(rule, {"jobs": 0, "seconds": 0.0, "memory": 0.0})
                sums["jobs"] += 1
                sums["seconds"] += float(line["s"])
                sums["memory"] = max(sums["memory"], _megabytes(line.get("max_rss")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: is no Snakemake benchmark in JSON lines ({error!r}). Delete it and rerun."
            ) from error
    return [
        {
            "rule": name,
            "jobs": f"{one['jobs']:,}",
            "hours": f"{one['seconds'] / 3600:.2f}",
            "memory": f"{one['memory']:,.0f}",
        }
        for name, one in sorted(rules.items())
    ]


def _megabytes(value: Any) -> float:
    """Return a memory reading; Snakemake writes `NA` for jobs too short to be measured."""
    return float(value) if isinstance(value, int | float) else 0.0
