"""Decompose a layer's matrices exactly, once, and record what every rho keeps of them."""

from laser.evaluation.reduce import reduce_layer
from laser.io.files import write_json
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one record per rho; the factors go to the content-addressed store."""
    job.label = f"{job.spec['model']['name']} layer {job.spec['layer']}"
    records = reduce_layer(job.spec, job.path("model"), job.path("factors"), job.say)
    for record, path in zip(records, job.paths["records"], strict=True):
        write_json(path, record)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "factors", "records"), outputs=("records",))
