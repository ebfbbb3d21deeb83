"""Describe the singular values of a model's matrices: the noise edge, what lies above it, and the effective rank."""

from laser.config.specs import SpectraSpec, as_json
from laser.evaluation.spectra import spectra
from laser.io.files import write_json
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one record per matrix of the grid."""
    spec = job.spec
    output = job.output("spectra", model=spec.model.name)
    write_json(output, {"model": spec.model.name, "matrices": spectra(job), "spec": as_json(spec)})


if __name__ == "__main__":
    run_job(main, __doc__, SpectraSpec)
