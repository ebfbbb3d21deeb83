"""Evaluate the chosen matrix with only its smallest singular values, on the test rows that LASER repairs."""

from laser.config.specs import HigherOrderSpec
from laser.evaluation.higher_order import higher_order
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, percent, repaired example)."""
    job.label = f"{job.spec.label}, higher order"
    higher_order(job)


if __name__ == "__main__":
    run_job(main, __doc__, HigherOrderSpec)
