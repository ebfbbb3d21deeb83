"""Evaluate on the test rows what selection did not choose: the paper's own choice, and the cheap search's."""

from laser.evaluation.choices import evaluate_choices
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, choice, example)."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']}, other choices"
    evaluate_choices(job)


if __name__ == "__main__":
    # The selection is asked for and not read: test rows are scored after it.
    files = ("model", "rows", "selection", "factors", "output")
    run_job(main, __doc__, files=files, optional=("gradients", "sweep"))
