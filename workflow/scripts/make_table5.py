"""Table 5: the search space of this study, beside the paper's."""

from laser.analysis.tables import write_table
from laser.artefacts.table5 import table5, table5_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published


def main(job: Job) -> None:
    """Write table5.csv, table5.md and table5.tex."""
    published = read_published()
    # In a spec names are sorted; readers know the study's order.
    grid = {name: job.spec["grid"][name] for name in job.spec["models"]}
    frame = table5(grid, job.spec["rhos"], published)
    write_table(job.paths["output"][0].parent, "table5", frame, table5_views(frame, published))


if __name__ == "__main__":
    run_job(main, __doc__, files=("output",))
