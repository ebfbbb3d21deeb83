"""Verdicts: each number of the paper's Table 1 beside ours, and whether it replicates."""

from laser.analysis.tables import read_table, write_table
from laser.artefacts.verdicts import verdict_table
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.report.summary import verdict_views


def main(job: Job) -> None:
    """Write verdicts.csv, verdicts.md and verdicts.tex."""
    frame = verdict_table(read_table(job.path("table1")), read_published())
    write_table(job.paths["output"][0].parent, "verdicts", frame, verdict_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("table1", "output"))
