"""Evaluate the chosen matrix with only its smallest singular values, on the test rows that LASER repairs."""

from laser.config.specs import HigherOrderSpec
from laser.evaluation.higher_order import higher_order
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(higher_order, __doc__, HigherOrderSpec)
