"""Measure the perplexity of base and of the best input and output interventions on running text."""

from laser.evaluation.perplexity import evaluate_perplexity
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, arm, window)."""
    job.label = f"{job.spec['model']['name']} {job.spec['dataset_name']}"
    evaluate_perplexity(job)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "text", "selection", "factors", "output"))
