"""Stability: how often each intervention would have been chosen, and the gain with the choice counted in."""

from laser.analysis.stability import RESAMPLES
from laser.analysis.tables import write_table
from laser.artefacts.stability import stability, stability_views
from laser.io.job import Job, run_job
from laser.results.loading import load_selections


def main(job: Job) -> None:
    """Write stability.csv, stability.md and stability.tex."""
    paths = job.paths
    selections = load_selections(paths["selection"])
    resamples = min(RESAMPLES, job.spec["resamples"])
    frame = stability(paths["sweep"], paths["base"], paths["rows"], selections, job.spec["seed"], resamples)
    write_table(paths["output"][0].parent, "stability", frame, stability_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("selection", "rows", "base", "sweep", "output"))
