"""Figure 10: validation loss by layer when magnitudes are pruned, or when only the smallest components are kept."""

from laser.analysis.pictures import by_cell
from laser.artefacts.fig10 import fig10
from laser.io.job import Job, run_job
from laser.results.grouping import sweep_by_cell
from laser.results.landscape import load_landscape


def main(job: Job) -> None:
    """Write one figure per cell and protocol; the spec's `kind` is `pruning` (default) or `smallest`."""
    found = sweep_by_cell(job.paths["landscape"], job.paths["base"])
    for cell, protocol, stem in by_cell(job.spec, found, job.paths["svg"]):
        base, files = found[cell]
        fig10(*load_landscape(files, base), stem, protocol, job.spec.get("kind", "pruning"))


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "landscape", "svg", "pdf", "csv"))
