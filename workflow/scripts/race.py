"""Race the candidates of one (model, dataset) cell on its validation rows; those that can no longer win stop."""

from laser.config.specs import RaceSpec
from laser.evaluation.race import race_cell
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, matrix, layer, rho, example) that was scored."""
    job.label = f"{job.spec.label}, race"
    race_cell(job)


if __name__ == "__main__":
    run_job(main, __doc__, RaceSpec)
