"""Write the study's report: one offline folder with the main page, and a page of what differs from run to run."""

from pathlib import Path

from laser.config.paths import StudyFiles
from laser.io.files import read_json
from laser.io.records import CACHE_RECORD, CACHE_RUN
from laser.provenance.job import Job, run_job
from laser.report.explorer import SweepFiles
from laser.report.page import write_report, write_run_page


def main(job: Job) -> None:
    """Write index.html, copies of all tables, figures and rows beside it, and run.html."""
    root, settings = job.results, job.spec["settings"]
    files = StudyFiles.from_spec(job.spec["files"], job.results, job.cache)
    made = job.reads(*(root / path for path in job.spec["artefacts"]))
    page = job.output("report")
    models, datasets = job.reads(*files.paths("model")), job.reads(*files.paths("dataset"))
    write_report(
        page.parent,
        settings,
        tables={path.stem: path for path in made if path.parent.name == "tables" and path.suffix == ".csv"},
        figures={_name(path, root): path for path in made if path.suffix == ".svg"},
        media={_name(path, root): path for path in made if path.suffix == ".gif"},
        model_cards=models,
        dataset_cards=datasets,
        tests=job.reads(*files.paths("test")),
        selections=job.reads(*files.paths("selection")),
        sweeps=[
            SweepFiles(*job.reads(*files.of_cell("base", *cell)), job.reads(*files.of_cell("sweep", *cell)))
            for cell in files.cells()
        ],
        rows=job.reads(*files.paths("rows")),
        root=root,
    )
    run_page = job.folders.path("run_report")
    job.writes(*(path for path in page.parent.rglob("*") if path.is_file() and path != run_page))
    runs = {path: path.relative_to(root / "runs").parts[0] for path in sorted((root / "runs").rglob("*.json"))}
    for folder in (card.parent for card in (*models, *datasets)):
        if (folder / CACHE_RUN).is_file():
            runs[folder / CACHE_RUN] = str(read_json(folder / CACHE_RECORD)["rule"])
    write_run_page(page.parent, settings, runs)
    job.say(f"open {page}")


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root / "figures").with_suffix(""))


if __name__ == "__main__":
    run_job(main, __doc__)
