"""Figure 4: validation and test accuracy as the greedy composition over layers proceeds."""

from laser.analysis.pictures import by_cell
from laser.artefacts.fig4 import fig4
from laser.io.job import Job, run_job
from laser.results.labelled import by_cell as parts_by_cell
from laser.results.labelled import load_json, load_labelled


def main(job: Job) -> None:
    """Write one figure per cell and protocol."""
    spec, paths = job.spec, job.paths
    composed = parts_by_cell(load_labelled(paths["composed"], ["step"], paths["rows"]))
    found = load_json(paths["search"], ["model", "dataset", "protocols"])
    searched = {(one["model"], one["dataset"]): one for one in found}
    for cell, protocol, stem in by_cell(spec, searched, paths["svg"]):
        fig4(searched[cell], composed[*cell, protocol], stem, spec["seed"], spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("search", "composed", "rows", "svg", "pdf", "csv"))
