"""Seeds: the spread of the randomised SVD on test rows, beside the exact SVD and the published value."""

from laser.analysis.tables import write_table
from laser.artefacts.seeds import seeds_table, seeds_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.results.labelled import load_labelled
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write seeds.csv, seeds.md and seeds.tex."""
    spec, paths = job.spec, job.paths
    drawn = load_labelled(paths["seeds"], ["seed"], paths["rows"])
    cells = load_cells(paths["test"], paths["selection"], paths["rows"])
    choices = load_labelled(paths["choices"], ["choice"], paths["rows"])
    frame = seeds_table(drawn, cells, choices, read_published(), spec["seed"], spec["resamples"])
    write_table(paths["output"][0].parent, "seeds", frame, seeds_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("seeds", "rows", "output"), optional=("test", "selection", "choices"))
