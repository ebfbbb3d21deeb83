"""Figure 5b: what the smallest singular values alone answer, on the questions that LASER repairs."""

from laser.analysis.pictures import by_cell
from laser.artefacts.fig5b import fig5b, load_higher_order
from laser.io.job import Job, run_job
from laser.results.labelled import cell_of
from laser.results.loading import load_rows


def main(job: Job) -> None:
    """Write one figure per cell and protocol."""
    spec, paths = job.spec, job.paths
    rows = {name: path for path in paths["rows"] for name in load_rows([path])}
    files = {cell_of(path)[:2]: path for path in paths["higher-order"]}
    for cell, protocol, stem in by_cell(spec, files, paths["svg"]):
        frame, own = load_higher_order(files[cell], rows[cell[1]])
        fig5b(frame, own, protocol, stem, spec["seed"], spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("higher-order", "rows", "svg", "pdf", "csv"))
