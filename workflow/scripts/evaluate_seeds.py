"""Evaluate one intervention on the test rows under several seeds of the randomised singular value decomposition."""

from laser.config.specs import SeedsSpec
from laser.evaluation.seeds import evaluate_seeds
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_seeds, __doc__, SeedsSpec)
