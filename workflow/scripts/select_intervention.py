"""Choose the intervention of one (model, dataset) cell from validation rows only."""

import pandas as pd

from laser.config.specs import SelectSpec
from laser.errors import UserError
from laser.evaluation.select import RULE, select
from laser.io.files import read_json, read_parquet, write_json
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write the chosen intervention per protocol, with the validation scores of every candidate.

    All swept interventions are candidates, or only those that keep at least as many dimensions as the study asks for.
    """
    spec = job.spec
    model, dataset = spec.model.name, spec.dataset.name
    output = job.output("selection", model=model, dataset=dataset)
    layers_and_rhos = {"layer": spec.grid.layers, "rho": spec.rhos}
    sweep = job.inputs("sweep", model=model, dataset=dataset, **layers_and_rhos)
    intervention_columns = ["matrix", "layer", "rho"]
    columns = ["protocol", *intervention_columns, "id", "correct", "loss"]
    swept = pd.concat([read_parquet(path, columns) for path in sweep], ignore_index=True)
    kept_ranks = {
        (matrix, record["layer"], record["rho"]): facts["kept_rank"]
        for record in map(read_json, job.inputs("reduction", model=model, **layers_and_rhos))
        for matrix, facts in record["matrices"].items()
    }
    rule, least = RULE, spec.keep_at_least
    if least is not None:
        rule += f"; only kept ranks of at least {least}"
        swept = swept[
            [kept_ranks[key] >= least for key in swept[intervention_columns].itertuples(index=False, name=None)]
        ]
        if swept.empty:
            raise UserError(
                f"keep_at_least is {least}, and no intervention of {model} keeps as many dimensions: the largest kept "
                f"rank is {max(kept_ranks.values())}. Give a smaller number, or larger values in grid.rhos."
            )
    base = read_parquet(job.input("base", model=model, dataset=dataset))
    chosen = select(base, swept, list(spec.grid.matrices), kept_ranks)
    names = {"model": model, "dataset": dataset, "rule": rule}
    write_json(output, names | {"protocols": chosen, "spec": job.plain})
    for protocol, choice in chosen.items():
        job.say(f"{protocol}: {choice['chosen'] or 'the base model wins on validation'}")


if __name__ == "__main__":
    run_job(main, __doc__, SelectSpec)
