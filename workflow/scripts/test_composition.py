"""Evaluate composed interventions on the test rows: base, then the accepted edits, one more at every step."""

import pandas as pd

from laser.evaluation.cell import counter, intervention, open_cell, result_rows
from laser.evaluation.compose import prefixes
from laser.evaluation.part_of_cell import of_protocol
from laser.io.files import read_json, write_parquet
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, step, example); step 0 is base, step k the first k accepted edits together."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']}, composition"
    whole = open_cell(spec, job.path("model"), job.path("rows"), job.path("factors"), "test")
    found = read_json(job.path("compose"))["protocols"]
    chosen = {protocol: found[protocol]["chosen"] for protocol in spec["protocols"]}
    frames = []
    for protocol, edits in chosen.items():
        cell = of_protocol(whole, protocol)
        steps = [intervention(cell, protocol, one["matrix"], one["layer"], one["rho"]) for one in edits]
        answers = prefixes(cell, steps, counter(job, cell, len(steps) + 1))
        frames += [result_rows(cell, one, protocol, step=step) for step, one in enumerate(answers)]
    facts = {"run": whole.run_facts, "chosen": chosen}
    write_parquet(job.path("output"), pd.concat(frames, ignore_index=True), spec | facts)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "rows", "factors", "compose", "output"))
