"""Evaluate the unmodified model on the validation rows of one dataset."""

import pandas as pd

from laser.config.specs import EvaluationSpec
from laser.evaluation.cell import answers_for, counter, job_cell, result_rows, say_overflows
from laser.io.files import write_parquet
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, example)."""
    spec = job.spec
    output = job.output("base", **spec.cell)
    cell = job_cell(job, "validation")
    (answers,) = answers_for(cell, [()], counter(job, cell, 1))
    frame = pd.concat([result_rows(cell, answers, name) for name in spec.protocols], ignore_index=True)
    say_overflows(job, cell, frame, of_base=True)
    write_parquet(output, frame, job.metadata(run=cell.run_facts))


if __name__ == "__main__":
    run_job(main, __doc__, EvaluationSpec)
