"""Write the sweep of one layer after a race: the candidates that ran to the end."""

from laser.config.specs import SweepSpec
from laser.evaluation.survivors import write_survivors
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file per rho, a row per (protocol, matrix, example)."""
    job.label = f"{job.spec.label} layer {job.spec.layer}"
    write_survivors(job)


if __name__ == "__main__":
    run_job(main, __doc__, SweepSpec)
