"""Evaluate composed interventions on the test rows: the base model, then one more accepted edit at every step."""

import pandas as pd

from laser.config.specs import EvaluationSpec
from laser.evaluation.cell import counter, intervention, job_cell, of_protocol, result_rows
from laser.evaluation.compose import prefixes
from laser.io.files import read_json, write_parquet
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, step, example); step 0 is base, step k has the first k accepted edits."""
    spec = job.spec
    output = job.output("composed", **spec.cell)
    whole = job_cell(job, "test")
    composition = read_json(job.input("composition", **spec.cell))["protocols"]
    chosen = {protocol: composition[protocol]["chosen"] for protocol in spec.protocols}
    frames = []
    for protocol, edits in chosen.items():
        cell = of_protocol(whole, protocol)
        steps = [intervention(cell, protocol, edit["matrix"], edit["layer"], edit["rho"]) for edit in edits]
        answers = prefixes(cell, steps, counter(job, cell, len(steps) + 1))
        frames += [result_rows(cell, answer, protocol, step=step) for step, answer in enumerate(answers)]
    metadata = job.metadata(run=whole.run_facts, chosen=chosen)
    write_parquet(output, pd.concat(frames, ignore_index=True), metadata)


if __name__ == "__main__":
    run_job(main, __doc__, EvaluationSpec)
