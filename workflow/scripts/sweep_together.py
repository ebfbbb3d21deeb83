"""Evaluate every intervention of one layer on the validation rows of several datasets at once."""

from laser.config.specs import SweepTogetherSpec
from laser.evaluation.sweep import sweep_together
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(sweep_together, __doc__, SweepTogetherSpec)
