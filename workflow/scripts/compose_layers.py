"""Search greedily for interventions on several layers at once, on the validation rows of one dataset."""

from laser.config.specs import ComposeSpec
from laser.evaluation.compose import RULE, compose
from laser.io.files import write_json
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write the base model's scores, every step and the accepted edits, per protocol."""
    output = job.output("composition", **job.spec.cell)
    names = {**job.spec.cell, "rule": RULE}
    write_json(output, names | {"protocols": compose(job), "spec": job.plain})


if __name__ == "__main__":
    run_job(main, __doc__, ComposeSpec)
