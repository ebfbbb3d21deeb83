"""Evaluate the base model and the chosen intervention on the test rows with a small fixed set of other prompts."""

from laser.config.specs import PromptsSpec
from laser.evaluation.prompts import evaluate_prompts
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, variant, arm, example)."""
    job.label = f"{job.spec.label}, prompts"
    evaluate_prompts(job)


if __name__ == "__main__":
    run_job(main, __doc__, PromptsSpec)
