"""Figure 3c: answers that LASER corrects, for every answer that was right before, by training frequency."""

from laser.analysis.fig3c import fig3c
from laser.analysis.frequency import frequency_of, named_files
from laser.analysis.loading import load_cells, load_rows
from laser.analysis.pictures import by_cell
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one figure per cell and protocol; --counts are <model>=facts.parquet and <dataset>=<the user's counts>."""
    spec, paths = job.spec, job.paths
    cells = {
        (cell.model, cell.dataset, cell.protocol): cell
        for cell in load_cells(paths["test"], paths["selection"], paths["rows"])
    }
    rows = {name: path for path in paths["rows"] for name in load_rows([path])}
    counts = named_files(paths["counts"])
    for (model, dataset), protocol, stem in by_cell(spec, [key[:2] for key in cells], paths["svg"]):
        frequency = frequency_of(model, dataset, rows[dataset], counts)
        fig3c(cells[model, dataset, protocol], frequency, stem, spec["seed"], spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "svg", "pdf", "csv"), optional=("counts",))
