"""Evaluate on the test rows the choices that selection did not make: those of the paper and of the cheap search."""

from laser.config.specs import ChoicesSpec
from laser.evaluation.choices import evaluate_choices
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, choice, example)."""
    job.label = f"{job.spec.label}, other choices"
    evaluate_choices(job)


if __name__ == "__main__":
    run_job(main, __doc__, ChoicesSpec)
