"""Evaluate the base model and the chosen intervention on the test rows."""

import pandas as pd

from laser.config.specs import EvaluationSpec
from laser.evaluation.cell import answer_each, chosen_edit, chosen_interventions, job_cell, result_rows, say_overflows
from laser.io.files import write_parquet
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, arm, example); if base won, the laser arm repeats base."""
    spec = job.spec
    output = job.output("test", **spec.cell)
    cell = job_cell(job, "test")
    chosen = chosen_interventions(job.input("selection", **spec.cell))
    edits = {name: chosen_edit(cell, name, choice) for name, choice in chosen.items()}
    answered = answer_each(job, cell, [(), *edits.values()])
    frames = [
        result_rows(cell, answered[edit], name, arm=arm)
        for name in spec.protocols
        for arm, edit in (("base", ()), ("laser", edits[name]))
    ]
    frame = pd.concat(frames, ignore_index=True)
    say_overflows(job, cell, frame)
    write_parquet(output, frame, job.metadata(run=cell.run_facts, chosen=chosen))


if __name__ == "__main__":
    run_job(main, __doc__, EvaluationSpec)
