"""Rank the matrices of a grid by the gradients of their singular values, on a few validation rows of one dataset."""

from laser.config.specs import GradientsSpec
from laser.evaluation.gradients import RULE, rank_cell
from laser.io.files import write_json
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write the examples used and the matrices, best first, per protocol."""
    output = job.output("gradients", **job.spec.cell)
    names = {**job.spec.cell, "rule": RULE}
    write_json(output, names | {"protocols": rank_cell(job), "spec": job.plain})


if __name__ == "__main__":
    run_job(main, __doc__, GradientsSpec)
