"""Figure 9: the largest benefit of any intervention in a layer, by layer, for each dataset."""

from laser.analysis.pictures import by_model, place_of, wanted_cells
from laser.artefacts.fig9 import fig9
from laser.io.job import Job, run_job
from laser.results.grouping import sweep_by_cell
from laser.results.loading import load_selections, load_sweep


def main(job: Job) -> None:
    """Write one figure per model and protocol."""
    found = sweep_by_cell(job.paths["sweep"], job.paths["base"])
    selections = load_selections(job.paths["selection"])
    averages = {cell: load_sweep(found[cell][1], found[cell][0]) for cell in wanted_cells(job.spec, found)}
    for model, protocol, stem in by_model(job.spec, found, job.paths["svg"]):
        cells = [cell for cell in averages if cell[0] == model]
        places = {cell: place_of(selections, cell, protocol) for cell in cells}
        chosen = {cell: place if taken else None for cell, (place, taken) in places.items()}
        fig9([averages[cell] for cell in cells], chosen, protocol, stem)


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "sweep", "selection", "svg", "pdf", "csv"))
