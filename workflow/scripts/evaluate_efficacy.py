"""Evaluate the false targets of the test rows under the base model and the chosen intervention."""

from laser.config.specs import EvaluationSpec
from laser.evaluation.efficacy import evaluate_efficacy
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, arm, example)."""
    job.label = f"{job.spec.label}, false targets"
    evaluate_efficacy(job)


if __name__ == "__main__":
    run_job(main, __doc__, EvaluationSpec)
