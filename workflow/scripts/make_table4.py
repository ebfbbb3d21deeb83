"""Table 4: sizes of the prepared datasets and of their splits, beside the paper's."""

from laser.analysis.tables import write_table
from laser.artefacts.table4 import table4, table4_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.results.loading import load_rows


def main(job: Job) -> None:
    """Write table4.csv, table4.md and table4.tex."""
    published = read_published()
    frame = table4(load_rows(job.paths["rows"]), published)
    write_table(job.paths["output"][0].parent, "table4", frame, table4_views(frame, published))


if __name__ == "__main__":
    run_job(main, __doc__, files=("rows", "output"))
