"""Evaluate baselines for the chosen intervention on the test rows: the matrix zeroed, scaled, pruned, and others."""

from laser.config.specs import BaselinesSpec
from laser.evaluation.baselines import evaluate_baselines
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, baseline, example)."""
    job.label = f"{job.spec.label}, baselines"
    evaluate_baselines(job)


if __name__ == "__main__":
    run_job(main, __doc__, BaselinesSpec)
