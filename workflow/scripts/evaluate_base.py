"""Evaluate the unmodified model on the validation rows of one dataset."""

import pandas as pd

from laser.evaluation.cell import answers_for, counter, open_cell, result_rows, say_overflows
from laser.io.files import write_parquet
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, example)."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']}"
    cell = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "validation")
    (answers,) = answers_for(cell, [()], counter(job, cell, 1))
    frame = pd.concat([result_rows(cell, answers, name) for name in spec["protocols"]], ignore_index=True)
    say_overflows(job, cell, frame, of_base=True)
    write_parquet(job.path("output"), frame, spec | {"run": cell.run_facts})


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "output"))
