"""Figure 3c: answers that LASER corrects, for every answer that was right before, by training frequency."""

from laser.analysis.frequency import pictures_by_frequency
from laser.artefacts.fig3c import fig3c
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one figure per cell and protocol; --counts are <model>=facts.parquet and <dataset>=<the user's counts>."""
    for cell, frequency, stem in pictures_by_frequency(job.spec, job.paths):
        fig3c(cell, frequency, stem, job.spec["seed"], job.spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "svg", "pdf", "csv"), optional=("counts",))
