"""The study's report: one offline folder with the page that a person reads, and the page of what differs by run."""

from pathlib import Path

from laser.io.job import Job, run_job
from laser.report.figures import FILMS
from laser.report.page import write_report, write_run_page


def main(job: Job) -> None:
    """Write index.html, with copies of all tables, figures and rows beside it, and run.html."""
    made = job.paths["artefacts"]
    benchmarks, page = job.path("benchmarks"), job.path("output").parent
    root = benchmarks.parent
    write_report(
        page,
        job.spec["settings"],
        tables={path.stem: path for path in made if path.parent.name == "tables" and path.suffix == ".csv"},
        figures={_name(path, root): path for path in made if path.suffix == ".svg"},
        model_cards=job.paths["models"],
        dataset_cards=job.paths["data"],
        media={_name(path, root): path for path in made if path.suffix in FILMS},
        **{name: job.paths[name] for name in ("tests", "selections", "rows")},
        root=root,
    )
    job.made += [path for path in page.rglob("*") if path.is_file() and path.name != "run.html"]
    by_rule: dict[str, list[Path]] = {}
    for path in sorted(benchmarks.rglob("*.jsonl")):
        by_rule.setdefault(path.relative_to(benchmarks).parts[0], []).append(path)
    write_run_page(page, job.spec["settings"], by_rule, sorted((root / "runs").rglob("*.json")))
    job.say(f"open {job.path('output')}")


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root / "figures").with_suffix(""))


if __name__ == "__main__":
    run_job(main, __doc__, ("artefacts", "models", "data", "benchmarks", "output"), ("tests", "selections", "rows"))
