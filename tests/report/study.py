"""A whole synthetic study with its tables, figures, cards and report on disk."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from laser.analysis.tables import to_csv, write_table
from laser.artefacts.fig2 import fig2, fig2_data
from laser.artefacts.table1 import table1
from laser.artefacts.table1 import views as table1_views
from laser.artefacts.table3 import table3
from laser.artefacts.table3 import views as table3_views
from laser.artefacts.table4 import table4
from laser.artefacts.table4 import views as table4_views
from laser.artefacts.table5 import table5
from laser.artefacts.table5 import views as table5_views
from laser.artefacts.verdicts import verdict_table
from laser.artefacts.verdicts import views as verdict_views
from laser.io.files import write_json, write_text
from laser.paper.published import read_published
from laser.report.explorer import SweepFiles
from laser.report.page import write_report, write_run_page
from laser.results import loading
from laser.results.averages import load_sweep
from tests.artefacts import synthetic

SCRIPT = "<script>alert(1)</script>"
"""What a model may predict."""

SETTINGS = {
    "title": "A study of nothing real",
    "search": "exhaustive",
    "description": "Made-up numbers that look like real ones.",
    "name": "synthetic",
    "protocols": ["published", "corrected"],
    "grid": {model: {"matrices": ["u_in", "u_out"], "layers": [0, 2, 5]} for model in synthetic.MODELS},
}


KEPT = tempfile.TemporaryDirectory(prefix="laser-report-")


@functools.cache
def drawn() -> Path:
    """Draw a figure for each cell, once: what the tests change does not show in them. Return their folder.

    All show the picture of the first cell; only their data are their own.
    """
    folder = Path(KEPT.name)
    built = synthetic.build(folder / "study")
    stems = [folder / "figures/fig2" / "/".join(cell) for cell in built.sweeps]
    for stem, base, swept in zip(stems, built.bases, built.sweeps.values(), strict=True):
        averages = load_sweep(swept, base)
        if stem is stems[0]:
            fig2(*averages, stem)
            continue
        stem.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("svg", "pdf"):
            shutil.copyfile(f"{stems[0]}.{ending}", f"{stem}.{ending}")
        write_text(Path(f"{stem}.csv"), to_csv(fig2_data(*averages, "corrected")))
    return folder / "figures"


def report(folder: Path, settings: dict[str, Any] | None = None, change: Any = None) -> Path:
    """Build everything below `folder`; `change` may alter the frame of Table 1 before it is written.

    The explorer, which has tests of its own, gets the sweep of the first cell.
    """
    built = synthetic.build(folder / "study")
    published = read_published()
    cells = loading.load_cells(built.tests, built.selections, built.rows)
    first = table1(cells, published, resamples=500)
    if change:
        first = change(first)
    third = table3(loading.load_selections(built.selections), published)
    fourth = table4(loading.load_rows(built.rows), published)
    fifth = table5(SETTINGS["grid"], synthetic.RHOS, published)
    verdicts = verdict_table(first, published)
    tables = folder / "study/tables"
    made = {
        "table1": (first, table1_views(first)),
        "table3": (third, table3_views(third)),
        "table4": (fourth, table4_views(fourth)),
        "table5": (fifth, table5_views(fifth)),
        "verdicts": (verdicts, verdict_views(verdicts)),
    }
    for name, (frame, views) in made.items():
        write_table(tables, name, frame, views)
    shutil.copytree(drawn(), folder / "study/figures")
    figures = {f"fig2/{'/'.join(cell)}": folder / f"study/figures/fig2/{'/'.join(cell)}.svg" for cell in built.sweeps}
    card = folder / "study/cache/models/tiny-0/card.json"
    write_json(card, {"name": "tiny", "source": {"kind": "local"}, "layers": 6, "parameters": 123456, "notes": []})
    data = folder / "study/cache/data/fever-0/card.json"
    write_json(data, {"name": "fever", "rows": 120, "label_shares": {"true": 0.5}})
    for cell in built.sweeps:
        record = {"schema": 1, "rule": "test_intervention"}
        write_json(folder / f"study/records/test_intervention/{'/'.join(cell)}.json", record)
    for name in (*made, "fig2"):
        write_json(folder / f"study/records/{name}/{name}.json", {"schema": 1, "rule": name})
    settings = settings or SETTINGS
    page = write_report(
        folder / "study/report",
        settings,
        {name: tables / f"{name}.csv" for name in made},
        figures,
        [card],
        [data],
        tests=built.tests,
        selections=built.selections,
        rows=built.rows,
        sweeps=[SweepFiles(built.bases[0], next(iter(built.sweeps.values())))],
    )
    machine = {"host": "node1", "platform": "Linux", "processor": "x86_64", "device": "cpu", "gpu": [], "git": None}
    runs = {folder / f"study/runs/sweep/{number}.json": "sweep" for number in range(2)}
    for path, (seconds, memory) in zip(runs, ((90.0, 512.5e6), (1, 1e6)), strict=True):
        write_json(path, machine | {"seconds": seconds, "peak_memory_bytes": memory})
    write_run_page(page.parent, settings, runs)
    return page
