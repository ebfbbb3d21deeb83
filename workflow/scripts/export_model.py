"""Write the checkpoint of a cell's chosen intervention, dense or factored, with a model card."""

from laser.export.card import export_model
from laser.io.job import Job, run_job


def main(job: Job) -> None:
    """Write the folder; its README.md comes last."""
    spec = job.spec
    job.label = f"{spec['model']['name']} {spec['dataset_name']} {spec['protocol']}"
    export_model(job)


if __name__ == "__main__":
    run_job(main, __doc__, files=("model", "selection", "factors", "output"), optional=("test",))
