"""Evaluate every kind of intervention of one layer on the validation rows of one dataset."""

from laser.config.specs import LandscapeSpec
from laser.evaluation.landscape import evaluate_landscape
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file, a row per (protocol, kind, matrix, rho, example)."""
    job.label = f"{job.spec.label} layer {job.spec.layer}, landscape"
    evaluate_landscape(job)


if __name__ == "__main__":
    run_job(main, __doc__, LandscapeSpec)
