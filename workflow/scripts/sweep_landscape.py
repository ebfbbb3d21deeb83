"""Evaluate every kind of intervention of one layer on the validation rows of one dataset."""

from laser.evaluation.landscape import evaluate_landscape
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file, a row per (protocol, kind, matrix, rho, example)."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']} layer {spec['layer']}, landscape"
    evaluate_landscape(job)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "output"))
