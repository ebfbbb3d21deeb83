"""Evaluate every kind of intervention of one layer on the validation rows of one dataset."""

from laser.config.specs import LandscapeSpec
from laser.evaluation.landscape import evaluate_landscape
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_landscape, __doc__, LandscapeSpec)
