"""Rank the matrices of a grid by the gradients of their singular values, on a few validation rows of one dataset."""

from laser.evaluation.gradients import RULE, rank_cell
from laser.io.files import write_json
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write the examples used and the places, best first, per protocol."""
    spec = job.spec
    model, dataset = spec["model"]["name"], spec["dataset_name"]
    job.label = f"{model} {dataset}, gradients"
    whole = {"model": model, "dataset": dataset, "rule": RULE, "protocols": rank_cell(job), "spec": spec}
    write_json(job.path("output"), whole)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "output"))
