"""Evaluate one intervention on the test rows under several seeds of the randomised singular value decomposition."""

from laser.config.specs import SeedsSpec
from laser.evaluation.seeds import evaluate_seeds
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, seed, example)."""
    job.label = f"{job.spec.label}, seeds"
    evaluate_seeds(job)


if __name__ == "__main__":
    run_job(main, __doc__, SeedsSpec)
