"""Race the candidates of one (model, dataset) cell on its validation rows; those that can no longer win stop."""

from laser.config.specs import RaceSpec
from laser.evaluation.race import race_cell
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(race_cell, __doc__, RaceSpec)
