"""Decompose a layer's matrices exactly, once, and record what each rho keeps."""

from laser.config.specs import ReduceSpec
from laser.evaluation.reduce import reduce_layer
from laser.io.files import write_json
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one record per rho; the factors go to the content-addressed store."""
    spec = job.spec
    outputs = job.outputs("reduction", model=spec.model.name, layer=spec.layer, rho=spec.rhos)
    card, factors = job.input("model", model_key=spec.model.key), job.folders.path("factors")
    for record, path in zip(reduce_layer(spec, card, factors, job.say), outputs, strict=True):
        write_json(path, record)


if __name__ == "__main__":
    run_job(main, __doc__, ReduceSpec)
