"""Figure 2: validation loss by layer, a panel per matrix, a line per rho, the base model dashed."""

from laser.analysis.pictures import by_cell
from laser.artefacts.fig2 import fig2
from laser.io.job import Job, run_job
from laser.paper.published import fig2_range_of
from laser.results.grouping import sweep_by_cell
from laser.results.landscape import load_landscape
from laser.results.loading import load_sweep


def main(job: Job) -> None:
    """Write one figure per cell and protocol: from the landscape where the cell has one of kind svd, else its sweep."""
    swept = sweep_by_cell(job.paths["sweep"], job.paths["base"])
    landscapes = sweep_by_cell(job.paths["landscape"], job.paths["base"])
    for cell, protocol, stem in by_cell(job.spec, swept, job.paths["svg"]):
        base, files = landscapes[cell]
        frame, unedited = load_landscape(files, base) if files else load_sweep(swept[cell][1], base)
        if "kind" in frame and "svd" not in set(frame["kind"]):
            frame, unedited = load_sweep(swept[cell][1], base)
        fig2(frame, unedited, stem, protocol, fig2_range_of(*cell))


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "svg", "pdf", "csv"), optional=("sweep", "landscape"))
