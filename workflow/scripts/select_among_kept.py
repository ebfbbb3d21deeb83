"""Choose the intervention of one cell from validation rows alone, among those that keep at least so many dimensions.

The script of `select_intervention` where a study gives `keep_at_least`: a script of its own, so that the selections of
other studies do not depend on it.
"""

import pandas as pd

from laser.config.specs import SelectSpec
from laser.errors import UserError
from laser.evaluation.select import RULE, select
from laser.io.files import read_json, read_parquet, write_json
from laser.provenance.job import Job, run_job

PLACE = ["matrix", "layer", "rho"]


def main(job: Job) -> None:
    """Write the chosen intervention per protocol, with the validation scores of every candidate that is left."""
    spec, least = job.spec, job.spec.keep_at_least
    model, dataset = spec.model.name, spec.dataset.name
    job.label = f"{model} {dataset}"
    output = job.output("selection", model=model, dataset=dataset)
    layers_and_rhos = {"layer": spec.grid.layers, "rho": spec.rhos}
    kept_ranks = {
        (matrix, record["layer"], record["rho"]): facts["kept_rank"]
        for record in map(read_json, job.inputs("reduction", model=model, **layers_and_rhos))
        for matrix, facts in record["matrices"].items()
    }
    columns = ["protocol", *PLACE, "id", "correct", "loss"]
    sweep = job.inputs("sweep", model=model, dataset=dataset, **layers_and_rhos)
    swept = pd.concat([read_parquet(path, columns) for path in sweep], ignore_index=True)
    swept = swept[[kept_ranks[place] >= least for place in swept[PLACE].itertuples(index=False, name=None)]]
    if swept.empty:
        raise UserError(
            f"keep_at_least is {least}, and no intervention of {model} keeps as many dimensions: the largest kept rank "
            f"is {max(kept_ranks.values())}. Give a smaller number, or larger values in grid.rhos."
        )
    base = read_parquet(job.input("base", model=model, dataset=dataset))
    chosen = select(base, swept, list(spec.grid.matrices), kept_ranks)
    rule = f"{RULE}; only kept ranks of at least {least}"
    names = {"model": model, "dataset": dataset, "rule": rule}
    write_json(output, names | {"protocols": chosen, "spec": job.plain})
    for protocol, choice in chosen.items():
        job.say(f"{protocol}: {choice['chosen'] or 'the base model wins on validation'}")


if __name__ == "__main__":
    run_job(main, __doc__, SelectSpec)
