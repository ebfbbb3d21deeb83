"""Evaluate on the test rows the choices that selection did not make: those of the paper and of the cheap search."""

from laser.config.specs import ChoicesSpec
from laser.evaluation.choices import evaluate_choices
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_choices, __doc__, ChoicesSpec)
