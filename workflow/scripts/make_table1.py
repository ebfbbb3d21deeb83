"""Table 1: accuracy and loss of base and LASER on test rows, with intervals, paired tests and verdicts."""

from laser.analysis.tables import write_table
from laser.artefacts.table1 import table1, table1_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write table1.csv, table1.md and table1.tex."""
    cells = load_cells(job.paths["test"], job.paths["selection"], job.paths["rows"])
    frame = table1(cells, read_published(), job.spec["seed"], job.spec["resamples"])
    write_table(job.paths["output"][0].parent, "table1", frame, table1_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "output"))
