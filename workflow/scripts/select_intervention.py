"""Choose the intervention of one (model, dataset) cell from validation rows alone."""

import pandas as pd

from laser.evaluation.select import RULE, select
from laser.io.files import read_json, read_parquet, write_json
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write the chosen intervention per protocol, with every candidate's validation scores."""
    spec = job.spec
    job.label = f"{spec['model']} {spec['dataset']}"
    columns = ["protocol", "matrix", "layer", "rho", "id", "correct", "loss"]
    swept = pd.concat([read_parquet(path, columns) for path in job.paths["sweep"]], ignore_index=True)
    kept = {
        (matrix, record["layer"], record["rho"]): one["kept_rank"]
        for record in map(read_json, job.paths["records"])
        for matrix, one in record["matrices"].items()
    }
    chosen = select(read_parquet(job.path("base")), swept, spec["grid"]["matrices"], kept)
    whole = {"model": spec["model"], "dataset": spec["dataset"], "rule": RULE, "protocols": chosen, "spec": spec}
    write_json(job.path("output"), whole)
    for protocol, one in chosen.items():
        job.say(f"{protocol}: {one['chosen'] or 'the base model wins on validation'}")


if __name__ == "__main__":
    run_job(main, __doc__, files=("base", "sweep", "records", "output"))
