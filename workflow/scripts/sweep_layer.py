"""Evaluate every intervention of one layer on the validation rows of one dataset."""

from laser.evaluation.sweep import sweep_layer
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file per rho, a row per (protocol, matrix, example)."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']} layer {spec['layer']}"
    sweep_layer(job, job.paths["output"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "output"), optional=("gradients",))
