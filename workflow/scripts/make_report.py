"""The study's report: one offline folder with the page that a person reads."""

from pathlib import Path

from laser.io.job import Job, run_job
from laser.report.page import write_report


def main(job: Job) -> None:
    """Write index.html, with copies of all tables and figures beside it."""
    made = job.paths["artefacts"]
    tables = {path.stem: path for path in made if path.parent.name == "tables" and path.suffix == ".csv"}
    root = job.path("benchmarks")
    drawn = [path for path in made if path.suffix == ".svg"]
    figures = {str(path.relative_to(root.parent / "figures").with_suffix("")): path for path in drawn}
    films = {str(one.relative_to(root.parent / "figures").with_suffix("")): one for one in made if one.suffix == ".gif"}
    benchmarks: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.jsonl")):
        folder = path.relative_to(root).parts[0]
        benchmarks.setdefault(path.stem if folder in ("tables", "figures") else folder, []).append(path)
    study = job.spec["settings"]
    cards = job.paths["models"], job.paths["data"]
    write_report(job.path("output").parent, study, tables, figures, *cards, benchmarks, films=films)
    job.say(f"open {job.path('output')}")


if __name__ == "__main__":
    run_job(main, __doc__, files=("artefacts", "models", "data", "benchmarks", "output"))
