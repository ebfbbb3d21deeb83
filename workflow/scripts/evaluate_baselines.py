"""Evaluate baselines for the chosen intervention on the test rows: the matrix zeroed, scaled, pruned, and others."""

from laser.config.specs import BaselinesSpec
from laser.evaluation.baselines import evaluate_baselines
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_baselines, __doc__, BaselinesSpec)
