"""Evaluate every intervention of one layer on the validation rows of one dataset."""

from laser.config.specs import SweepSpec
from laser.evaluation.sweep import sweep_layer
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file per rho, a row per (protocol, matrix, example)."""
    job.label = f"{job.spec.label} layer {job.spec.layer}"
    sweep_layer(job)


if __name__ == "__main__":
    run_job(main, __doc__, SweepSpec)
