"""Evaluate on a dataset's test rows the interventions that were chosen on a model's other datasets."""

from laser.config.specs import TransferSpec
from laser.evaluation.transfer import evaluate_transfer
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, intervention, example)."""
    job.label = f"{job.spec.label}, transfer"
    evaluate_transfer(job)


if __name__ == "__main__":
    run_job(main, __doc__, TransferSpec)
