"""Composition: base, the best single intervention and the composed ones, on test rows."""

from laser.analysis.tables import write_table
from laser.artefacts.compose import compose_table, compose_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.paper.text_numbers import read_text_numbers
from laser.results.labelled import load_json, load_labelled
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write compose.csv, compose.md and compose.tex."""
    spec, paths = job.spec, job.paths
    frame = compose_table(
        load_cells(paths["test"], paths["selection"], paths["rows"]),
        load_labelled(paths["composed"], ["step"], paths["rows"]),
        load_json(paths["search"], ["model", "dataset", "protocols"]),
        read_published(),
        read_text_numbers(),
        spec["seed"],
        spec["resamples"],
    )
    write_table(paths["output"][0].parent, "compose", frame, compose_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "search", "composed", "output"))
