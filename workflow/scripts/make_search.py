"""Search: what the cheap search by gradients chooses, scores and costs beside the exhaustive one."""

from laser.analysis.tables import write_table
from laser.artefacts.search import search_table, search_views
from laser.io.job import Job, run_job
from laser.results.labelled import load_json, load_labelled
from laser.results.loading import load_cells, load_selections


def main(job: Job) -> None:
    """Write search.csv, search.md and search.tex."""
    spec, paths = job.spec, job.paths
    frame = search_table(
        load_cells(paths["test"], paths["selection"], paths["rows"]),
        load_selections(paths["selection"]),
        load_json(paths["gradients"], ["spec", "protocols"]),
        load_labelled(paths["choices"], ["choice"], paths["rows"]),
        spec["seed"],
        spec["resamples"],
    )
    write_table(paths["output"][0].parent, "search", frame, search_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "gradients", "choices", "output"))
