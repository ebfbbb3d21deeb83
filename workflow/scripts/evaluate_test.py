"""Evaluate base and the chosen intervention on the test rows: the only script that ever scores them."""

import pandas as pd

from laser.evaluation.cell import answer_each, chosen_edit, chosen_interventions, open_cell, result_rows, say_overflows
from laser.io.files import write_parquet
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, arm, example); where base won, the laser arm repeats base."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']}"
    cell = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "test")
    chosen = chosen_interventions(job.path("selection"))
    edits = {name: chosen_edit(cell, name, one) for name, one in chosen.items()}
    answered = answer_each(job, cell, [(), *edits.values()])
    frames = [
        result_rows(cell, answered[edit], name, arm=arm)
        for name in spec["protocols"]
        for arm, edit in (("base", ()), ("laser", edits[name]))
    ]
    frame = pd.concat(frames, ignore_index=True)
    say_overflows(job, cell, frame)
    write_parquet(job.path("output"), frame, spec | {"run": cell.run_facts, "chosen": chosen})


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "selection", "output"))
