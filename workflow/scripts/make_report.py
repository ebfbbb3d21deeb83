"""The study's report: one offline folder with the page that a person reads."""

import shutil
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
    benchmarks: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.jsonl")):
        folder = path.relative_to(root).parts[0]
        benchmarks.setdefault(path.stem if folder in ("tables", "figures") else folder, []).append(path)
    study, page = job.spec["settings"], job.path("output").parent
    for name in ("tables", "figures", "rows"):  # of artefacts that the study does not ask for any more
        shutil.rmtree(page / name, ignore_errors=True)
    write_report(page, study, tables, figures, job.paths["models"], job.paths["data"], benchmarks)
    job.made += [path for path in page.rglob("*") if path.is_file() and path.name != "run.html"]
    job.say(f"open {job.path('output')}")


if __name__ == "__main__":
    run_job(main, __doc__, files=("artefacts", "models", "data", "benchmarks", "output"))
