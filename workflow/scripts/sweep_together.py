"""Evaluate every intervention of one layer on the validation rows of several datasets at once."""

from laser.config.specs import SweepTogetherSpec
from laser.evaluation.sweep import sweep_together
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file per dataset and rho, a row per (protocol, matrix, example)."""
    names = ", ".join(dataset.name for dataset in job.spec.together)
    job.label = f"{job.spec.model.name} {names} layer {job.spec.layer}"
    sweep_together(job)


if __name__ == "__main__":
    run_job(main, __doc__, SweepTogetherSpec)
