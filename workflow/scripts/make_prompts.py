"""Prompts: how the gain of the chosen intervention moves with the wording of the prompt, on test rows."""

from laser.analysis.tables import write_table
from laser.artefacts.prompts import prompts_table, prompts_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.results.labelled import load_labelled
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write prompts.csv, prompts.md and prompts.tex."""
    spec, paths = job.spec, job.paths
    asked = load_labelled(paths["prompts"], ["variant", "arm"], paths["rows"], apart=["variant"])
    cells = load_cells(paths["test"], paths["selection"], paths["rows"])
    frame = prompts_table(asked, cells, read_published(), spec["seed"], spec["resamples"])
    write_table(paths["output"][0].parent, "prompts", frame, prompts_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("prompts", "test", "selection", "rows", "output"))
