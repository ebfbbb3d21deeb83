"""Figure 2: validation loss by layer, a panel per matrix, a line per rank, the base model dashed."""

from itertools import product

from laser.analysis.fig2 import fig2
from laser.analysis.grouping import sweep_by_cell
from laser.analysis.loading import load_sweep
from laser.analysis.published import fig2_range_of
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one figure per (model, dataset, protocol), in the study's order."""
    by_cell = sweep_by_cell(job.paths["sweep"], job.paths["base"])
    cells = product(by_cell, job.spec["protocols"])
    for (cell, protocol), path in zip(cells, job.paths["svg"], strict=True):
        base, sweep = by_cell[cell]
        swept, unedited = load_sweep(sweep, base)
        fig2(swept, unedited, path.with_suffix(""), protocol, fig2_range_of(*cell))


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "sweep", "svg", "pdf", "csv"))
