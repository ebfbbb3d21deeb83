"""Table 3: the matrix, layer and rank chosen on validation, beside the paper's choice."""

from laser.analysis.loading import load_selections
from laser.analysis.published import read_published
from laser.analysis.table3 import table3, table3_views
from laser.analysis.tables import write_table
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write table3.csv, table3.md and table3.tex."""
    frame = table3(load_selections(job.paths["selection"]), read_published())
    write_table(job.paths["output"][0].parent, "table3", frame, table3_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("selection", "output"))
