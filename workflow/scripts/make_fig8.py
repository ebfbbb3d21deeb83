"""Figure 8: top-1, top-5 and top-10 accuracy against the amount of reduction, at the chosen place."""

from laser.analysis.pictures import by_cell, place_of
from laser.artefacts.fig8 import fig8
from laser.io.files import read_spec
from laser.io.job import Job, run_job
from laser.results.grouping import sweep_by_cell
from laser.results.loading import load_selections, load_sweep


def main(job: Job) -> None:
    """Write one figure per cell and protocol."""
    found = sweep_by_cell(job.paths["sweep"], job.paths["base"])
    selections = load_selections(job.paths["selection"])
    for cell, protocol, stem in by_cell(job.spec, found, job.paths["svg"]):
        place, taken = place_of(selections, cell, protocol)
        base, files = found[cell]
        swept, unedited = load_sweep([path for path in files if read_spec(path)["layer"] == place["layer"]], base)
        fig8(swept, unedited, protocol, place["matrix"], place["layer"], stem, place["rho"] if taken else None)


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "sweep", "selection", "svg", "pdf", "csv"))
