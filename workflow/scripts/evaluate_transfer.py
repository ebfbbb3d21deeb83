"""Evaluate on a dataset's test rows the interventions that were chosen on a model's other datasets."""

from laser.config.specs import TransferSpec
from laser.evaluation.transfer import evaluate_transfer
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_transfer, __doc__, TransferSpec)
