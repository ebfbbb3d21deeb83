"""Measure the perplexity of the base model and of the best input and output interventions on running text."""

from laser.config.specs import PerplexitySpec
from laser.evaluation.perplexity import evaluate_perplexity
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, arm, window)."""
    job.label = f"{job.spec.label}, perplexity"
    evaluate_perplexity(job)


if __name__ == "__main__":
    run_job(main, __doc__, PerplexitySpec)
