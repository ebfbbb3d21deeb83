"""Evaluate every intervention of one layer on the validation rows of one dataset."""

from laser.config.specs import SweepSpec
from laser.evaluation.sweep import sweep_layer
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(sweep_layer, __doc__, SweepSpec)
