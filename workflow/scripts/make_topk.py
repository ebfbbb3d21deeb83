"""Top-1, top-5 and top-10 accuracy: base and LASER on test rows, and along ρ on validation rows."""

from laser.analysis.tables import write_table
from laser.artefacts.topk import topk_table, topk_test, topk_validation, topk_views
from laser.io.job import Job, run_job
from laser.results.loading import load_cells, load_selections


def main(job: Job) -> None:
    """Write topk.csv, topk.md and topk.tex."""
    paths, seed, resamples = job.paths, job.spec["seed"], job.spec["resamples"]
    test = topk_test(load_cells(paths["test"], paths["selection"], paths["rows"]), seed, resamples)
    selections = load_selections(paths["selection"])
    validation = topk_validation(paths["sweep"], paths["base"], paths["rows"], selections, seed, resamples)
    frame = topk_table(test, validation)
    write_table(paths["output"][0].parent, "topk", frame, topk_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "base", "sweep", "output"))
