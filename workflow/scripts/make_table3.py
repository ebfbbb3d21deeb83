"""Table 3: the matrix, layer and rho chosen on validation, beside the paper's choice."""

from laser.analysis.tables import write_table
from laser.artefacts.table3 import table3, table3_views, with_test_scores
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.results.labelled import load_labelled
from laser.results.loading import load_cells, load_selections


def main(job: Job) -> None:
    """Write table3.csv, table3.md and table3.tex; with --test and --rows, test scores too (--choices: the paper's)."""
    spec, paths = job.spec, job.paths
    frame = table3(load_selections(paths["selection"]), read_published())
    if paths["test"]:
        cells = load_cells(paths["test"], paths["selection"], paths["rows"])
        choices = load_labelled(paths["choices"], ["choice"], paths["rows"])
        frame = with_test_scores(frame, cells, choices, spec["seed"], spec["resamples"])
    write_table(paths["output"][0].parent, "table3", frame, table3_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("selection", "output"), optional=("test", "choices", "rows"))
