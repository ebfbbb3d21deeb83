"""Search for interventions on several layers at once, greedily, on the validation rows of one dataset."""

from laser.evaluation.compose import RULE, compose
from laser.io.files import write_json
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write base, every step and the accepted edits per protocol."""
    spec = job.spec
    model, dataset = spec["model"]["name"], spec["dataset_name"]
    job.label = f"{model} {dataset}, composition"
    whole = {"model": model, "dataset": dataset, "rule": RULE, "protocols": compose(job), "spec": spec}
    write_json(job.path("output"), whole)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "output"))
