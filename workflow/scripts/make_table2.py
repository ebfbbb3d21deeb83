"""Table 2: rooms solved, return and loss of base and LASER on test rooms, with intervals and paired tests."""

from laser.analysis.tables import write_table
from laser.artefacts.table2 import table2, table2_views
from laser.io.job import Job, run_job
from laser.paper.published import read_table2
from laser.results.loading import OF_GAMES, load_cells


def main(job: Job) -> None:
    """Write table2.csv, table2.md and table2.tex."""
    cells = load_cells(job.paths["test"], job.paths["selection"], job.paths["rows"], OF_GAMES)
    frame = table2(cells, read_table2(), job.spec["seed"], job.spec["resamples"])
    write_table(job.paths["output"][0].parent, "table2", frame, table2_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "output"))
