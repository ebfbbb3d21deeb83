"""Write the checkpoint of a cell's chosen intervention, dense or factored, with a model card."""

from laser.config.specs import ExportSpec
from laser.export.card import export_model
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write the folder; its README.md comes last."""
    job.label = f"{job.spec.label} {job.spec.protocol}"
    export_model(job)


if __name__ == "__main__":
    run_job(main, __doc__, ExportSpec)
