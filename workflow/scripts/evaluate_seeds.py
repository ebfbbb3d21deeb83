"""Evaluate one intervention on the test rows under several seeds of the randomised singular value decomposition."""

from laser.evaluation.seeds import evaluate_seeds
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, seed, example)."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']}, seeds"
    evaluate_seeds(job)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "selection", "factors", "output"))
