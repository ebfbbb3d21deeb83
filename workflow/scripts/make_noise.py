"""LASER's gain and choice against the noise level of the corpus and against the model's depth."""

from laser.analysis.pictures import by_dataset, wanted_cells
from laser.artefacts.noise import noise
from laser.io.job import Job, run_job
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write one figure per dataset and protocol, of all models that the spec's `facts` name."""
    spec, paths = job.spec, job.paths
    cells = load_cells(paths["test"], paths["selection"], paths["rows"])
    names = wanted_cells(spec, [(cell.model, cell.dataset) for cell in cells])
    for dataset, protocol, stem in by_dataset(spec, names, paths["svg"]):
        own = [cell for cell in cells if (cell.model, dataset) in names]
        own = [cell for cell in own if (cell.dataset, cell.protocol) == (dataset, protocol)]
        noise(own, spec["facts"], stem, spec["seed"], spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "svg", "pdf", "csv"))
